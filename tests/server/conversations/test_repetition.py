"""An answer that goes round in a circle is ended; one that repeats itself for a reason is not."""

import pytest

from chatwright.server.conversations.repetition import RepetitionWatch
from tests.server.conversations.conftest import OpenWorld

CIRCLE = "A gentle soul,\n"


def seen_after(words: list[str]) -> int | None:
    """Bytes that were read when the watch saw a circle."""
    watch, read = RepetitionWatch(), 0
    for word in words:
        read += len(word.encode())
        if watch.sees(word):
            return read
    return None


@pytest.mark.parametrize(
    "passage", ["A gentle soul,\n", "[note.md]\n\n", "oftheproduct", "很好。", "a long one " * 20 + "."]
)
def test_a_circle_is_seen_soon_wherever_it_begins(passage: str) -> None:
    beginning = "The rivers of the world are a tapestry woven with hues of sapphire. "
    found = seen_after([beginning, *passage * 2000])
    assert found is not None
    assert found - len(beginning) <= 1_500 + 250


def test_what_changes_a_little_or_ends_soon_is_no_circle() -> None:
    assert seen_after([f"| {number} | the same | the same |\n" for number in range(500)]) is None
    assert seen_after(["na " * 400, "Batman!"]) is None
    assert seen_after(["x = [" + "0, " * 300 + "]\n", "and then the rest of it, which goes on. ", "0, " * 300]) is None


@pytest.mark.anyio
async def test_an_answer_in_a_circle_is_ended_and_can_be_gone_on_with(world: OpenWorld) -> None:
    async with world() as w:
        w.model.holds_still = True
        answer = await w.ask(await w.conversation(), "A poem!")
        w.model.answers[0].say("Roses are red.\n", *[CIRCLE] * 200)  # and it never ends
        done = await w.finished(answer["id"])
        assert (done["status"], done["finish_reason"]) == ("complete", "repetition")
        assert done["content"].count(CIRCLE) < 200
        assert done["completion_tokens"] == 1 + done["content"].count(CIRCLE)
        assert w.model.answers[0].is_cancelled.is_set()
        more = await w.http.post(
            f"/api/conversations/{answer['conversation_id']}/messages/{answer['id']}/continue", json={}
        )
        assert more.status_code < 300, more.text
