"""Search: Chinese words of two characters, English words and their beginnings, one's own messages alone."""

import pytest

from chatwright.server.conversations.search import normalised, parse_query, places, terms_of
from tests.server.conversations.conftest import OpenWorld, World


def test_terms_are_words_and_pairs_of_chinese_characters() -> None:
    assert terms_of("Hello, 世界和平！ＧＰＴ-4") == ["hello", "世界", "界和", "和平", "平", "gpt", "4"]
    assert terms_of(" … \n") == []


@pytest.mark.parametrize(
    ("words", "text", "found"),
    [
        ("平", "世界和平", ["平"]),
        ("界和", "世界和平", ["界和"]),
        ("世界 hel", "Hello 世界", ["Hel", "世界"]),
        ("世界和平", "世界与和平", []),  # both halves are there, the word is not
        ("ello", "Hello", []),  # words are found by their beginning
        ("ＡＢＣ", "abc", ["abc"]),
        ("a_b", "b and a", ["b", "a", "a"]),
    ],
)
def test_places_are_where_the_words_stand(words: str, text: str, found: list[str]) -> None:
    query = parse_query(words)
    assert query is not None
    assert [text[start:end] for start, end in places(query, text)] == found


def test_nothing_to_look_for_is_no_query() -> None:
    assert parse_query("!?…") is None


def test_places_hold_although_characters_change_their_form() -> None:
    text = "ﬁ İ ｆｕｌｌ 全角"
    assert len(normalised(text)) == len(text)


async def found(w: World, words: str, **params: object) -> list[str]:
    answer = await w.http.get("/api/conversations/search", params={"q": words, **params})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    return ["|".join(hit["snippet"][start:end] for start, end in hit["highlights"]) for hit in answer.json()["data"]]


async def check_search(w: World) -> None:
    w.model.replies = ["人工智能可以写诗", "Regular expressions describe languages", "nothing of it"]
    first = await w.conversation(title="机器学习")
    answer = await w.answered(first, "什么是智能？")
    other = await w.conversation(title="Formal languages")
    await w.answered(other, "what are regexes")
    assert await found(w, "智能") == ["智能", "智能"]
    assert await found(w, "人工智能") == ["人工智能"]
    assert await found(w, "诗") == ["诗"]
    assert await found(w, "工人") == []
    assert await found(w, "机器") == ["机器"]
    assert await found(w, "regu EXPRESSIONS") == ["Regu|expressions"]
    assert await found(w, "lang") == ["lang", "lang"]
    assert await found(w, 'reg* OR "') == []
    assert await found(w, "智能", limit=1) == ["智能"]
    path = f"/api/conversations/{first}/messages/{answer['id']}"
    edited = (await w.http.post(f"{path}/edit", json={"content": "机器会做梦"})).json()["messages"][0]
    assert await found(w, "做梦") == ["做梦"]
    hit = (await w.http.get("/api/conversations/search", params={"q": "做梦"})).json()["data"][0]
    assert (hit["message_id"], hit["conversation_id"], hit["title"]) == (edited["id"], first, "机器学习")
    await w.http.delete(f"/api/conversations/{first}")
    assert await found(w, "智能") == []


@pytest.mark.anyio
async def test_search_on_sqlite(world: OpenWorld) -> None:
    async with world() as w:
        await check_search(w)


@pytest.mark.anyio
async def test_search_on_postgresql(world: OpenWorld, postgres_url: str) -> None:
    async with world(database_url=postgres_url) as w:
        await check_search(w)


@pytest.mark.anyio
async def test_a_continued_answer_is_found_by_its_new_words(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        conversation = await w.conversation(title="x")
        answer = await w.ask(conversation, "Go.")
        w.model.answers[0].say("apples ")
        await w.until_text(answer["id"], "apples ")
        path = f"/api/conversations/{conversation}/messages/{answer['id']}"
        await w.http.post(f"{path}/stop")
        assert await found(w, "apples") == ["apples"]
        await w.http.post(f"{path}/continue")
        w.model.answers[1].say("and pears").end()
        await w.finished(answer["id"])
        assert await found(w, "pears apples") == ["apples|pears"]
