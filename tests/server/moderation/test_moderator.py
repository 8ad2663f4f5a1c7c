"""The policy: what is refused, what is shown, what is written down, and what nobody may read."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chatwright.server.accounts import AuditLog, RuntimeSettings
from chatwright.server.backends.base import Piece, ToolCallPiece
from chatwright.server.database import open_database
from chatwright.server.errors import ApiError
from chatwright.server.moderation import Moderator, open_moderator
from chatwright.server.principal import Principal
from chatwright.server.privacy import open_privacy
from chatwright.server.settings import ServerSettings

OpenModerator = Callable[..., AbstractAsyncContextManager[Moderator]]

ANNA = Principal(user_id="usr_anna", name="anna", role="user", channel="session")
LI = Principal(user_id="usr_li", name="li", role="user", channel="session", language="zh")
THREAT = "I will kill you tonight with a knife"


@pytest.fixture
def moderator(tmp_path: Path) -> OpenModerator:
    """``async with moderator(moderation="block") as moderation``."""

    @asynccontextmanager
    async def open_one(**settings: object) -> AsyncIterator[Moderator]:
        database = await open_database(f"sqlite:///{tmp_path / 'moderation.db'}")
        made = ServerSettings.model_validate({"home": tmp_path, **settings})
        runtime = RuntimeSettings(database, made, AuditLog(database))
        try:
            async with open_privacy(made, runtime) as privacy, open_moderator(made, database, runtime, privacy) as one:
                yield one
        finally:
            await database.close()

    return open_one


async def entries(moderation: Moderator) -> list[tuple[str, str, set[str], str]]:
    rows = await moderation.record.list(limit=50, after=None, action=None, reviewed=None, user_id=None)
    return [(row.direction, row.action, set(row.categories), row.excerpt) for row in rows]


async def written(*pieces: Piece) -> AsyncIterator[Piece]:
    for piece in pieces:
        yield piece


def answer(text: str, *, size: int = 3, index: int = 0) -> list[Piece]:
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return [*(Piece(index, part, num_tokens=1) for part in parts), Piece(index, finish_reason="stop")]


async def shown(moderation: Moderator, pieces: list[Piece]) -> list[Piece]:
    return [piece async for piece in moderation.watch_output(ANNA, "tiny", written(*pieces))]


@pytest.mark.anyio
async def test_block_refuses_in_the_persons_language_and_flag_only_writes_down(moderator: OpenModerator) -> None:
    async with moderator(moderation="block") as moderation:
        for person, words in ((ANNA, "rules of this server"), (LI, "规则")):
            with pytest.raises(ApiError, match=words) as refused:
                await moderation.check_input(person, "tiny", ("hello", THREAT))
            assert (refused.value.status, refused.value.code) == (400, "content_policy_violation")
        await moderation.check_input(ANNA, "tiny", ("how do I kill a Python process",))
        assert await entries(moderation) == [("input", "block", {"violence"}, "")] * 2
    async with moderator(moderation="flag") as moderation:
        await moderation.check_input(ANNA, "tiny", (THREAT,))
        assert (await entries(moderation))[0] == ("input", "flag", {"violence"}, "")
    async with moderator(moderation="off") as moderation:
        await moderation.check_input(ANNA, "tiny", (THREAT,))
        assert len(await entries(moderation)) == 3


@pytest.mark.anyio
async def test_somebody_in_despair_is_told_where_to_find_help(moderator: OpenModerator) -> None:
    async with moderator(moderation="block") as moderation:
        with pytest.raises(ApiError, match="crisis line"):
            await moderation.check_input(ANNA, "tiny", ("I want to kill myself",))
        with pytest.raises(ApiError, match="12356"):
            await moderation.check_input(LI, "tiny", ("我不想活了，想自杀",))


@pytest.mark.anyio
async def test_excerpts_are_kept_only_where_administrators_may_read_chats(moderator: OpenModerator) -> None:
    text = f"{THREAT}. Write to a@example.org"
    async with moderator(admins_read_chats=True, redact_before_storage=True) as moderation:
        await moderation.check_input(ANNA, "tiny", (text,))
        assert (await entries(moderation))[0][3] == f"{THREAT}. Write to [EMAIL]"
        await moderation.check_input(replace(ANNA, off_record=True), "tiny", (text,))  # a temporary chat
        assert sorted(excerpt for *_, excerpt in await entries(moderation))[0] == ""


@pytest.mark.anyio
async def test_word_lists_flag_and_block_by_themselves(moderator: OpenModerator) -> None:
    async with moderator(moderation="flag") as moderation:
        values = {"name": "names", "category": "project", "words": ["Bluebird", "青鸟"], "enabled": True}
        made = await moderation.word_lists.create({**values, "action": "flag"})
        await moderation.check_input(ANNA, "tiny", ("tell me of BLUEBIRD",))
        assert (await entries(moderation))[0][:3] == ("input", "flag", {"project"})
        await moderation.word_lists.change(made.id, {"action": "block"})
        with pytest.raises(ApiError):
            await moderation.check_input(ANNA, "tiny", ("讲讲青 鸟计划",))
        await moderation.word_lists.change(made.id, {"enabled": False})
        await moderation.check_input(ANNA, "tiny", ("tell me of Bluebird",))
        await moderation.word_lists.delete(made.id)
        with pytest.raises(ApiError) as gone:
            await moderation.word_lists.get(made.id)
        assert gone.value.status == 404


@pytest.mark.anyio
@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_a_blocked_answer_ends_before_its_sentence_is_shown(moderator: OpenModerator, size: int) -> None:
    harmless = "Here is the first sentence.\nAnd here is another one.\n"
    async with moderator(moderation="block") as moderation:
        pieces = await shown(moderation, answer(f"{harmless}{THREAT}! Then it goes on.", size=size))
        text = "".join(piece.text for piece in pieces)
        assert "kill" not in text
        assert text == "" if size == 1000 else text.removeprefix(harmless) in ("", "I")
        assert [piece.finish_reason for piece in pieces if piece.finish_reason] == ["content_filter"]
        [entry] = await entries(moderation)
        assert entry[:2] == ("output", "block")


@pytest.mark.anyio
@pytest.mark.parametrize("policy", ["off", "flag", "block"])
async def test_a_harmless_answer_is_shown_as_it_is(moderator: OpenModerator, policy: str) -> None:
    pieces = [
        Piece(reasoning="Let me think"),
        Piece(reasoning=" of soup."),
        *answer("Tomatoes, onions. 加一点盐！ No end")[:-1],
        Piece(tool_calls=(ToolCallPiece(0, '{"a"', "call_1", "f"),)),
        Piece(tool_calls=(ToolCallPiece(0, ": 1}"),)),
        Piece(finish_reason="tool_calls"),
    ]
    async with moderator(moderation=policy) as moderation:
        assert await shown(moderation, pieces) == pieces


@pytest.mark.anyio
async def test_one_of_several_answers_is_blocked_alone(moderator: OpenModerator) -> None:
    bad, good = answer(f"{THREAT}. More.", index=0), answer("Soup is good. More.", index=1)
    mixed = [piece for pair in zip(bad, good, strict=False) for piece in pair] + bad[len(good) :]
    async with moderator(moderation="block") as moderation:
        pieces = await shown(moderation, mixed)
        ends = {piece.index: piece.finish_reason for piece in pieces if piece.finish_reason}
        assert ends == {0: "content_filter", 1: "stop"}
        assert "".join(piece.text for piece in pieces if piece.index == 1) == "Soup is good. More."


@pytest.mark.anyio
async def test_abuse_is_flagged_without_holding_anything_back(moderator: OpenModerator) -> None:
    async with moderator(moderation="flag") as moderation:
        pieces = answer(f"{THREAT}.")
        seen = []
        async for piece in moderation.watch_output(ANNA, "tiny", written(*pieces)):
            seen.append(piece)
            assert piece is pieces[len(seen) - 1]
        [entry] = await entries(moderation)
        assert entry[:3] == ("output", "flag", {"violence"})


@pytest.mark.anyio
async def test_classify_names_categories_whatever_the_policy(moderator: OpenModerator) -> None:
    async with moderator(moderation="off") as moderation:
        threat, harmless = await moderation.classify([THREAT, "soup"])
        assert threat.found == {"violence"}
        assert not harmless.found
        assert set(threat.scores) == {
            "harassment", "hate", "illicit", "self-harm", "sexual", "sexual/minors", "violence",
        }  # fmt: skip
