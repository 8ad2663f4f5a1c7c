"""Fitting a chat into the context: never cut silently, as few turns dropped as possible, quick on enormous input."""

from pathlib import Path
from typing import Any

import pytest

from chatwright.chat import ChatTemplate, fit_context
from chatwright.errors import ContextLengthError, InputError, InvalidParameterError
from chatwright.tokenizer import TextEncoder, Tokenizer

TEMPLATE = ChatTemplate(Tokenizer.from_folder(Path(__file__).parents[1] / "data" / "chat" / "chatml"))
SYSTEM = {"role": "system", "content": "Be kind."}


def turn(number: int, words: int = 12) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"question {number} " + "why " * words},
        {"role": "assistant", "content": f"answer {number} " + "because " * words},
    ]


def history(turns: int, words: int = 12) -> list[dict[str, Any]]:
    return [SYSTEM, *(message for number in range(turns) for message in turn(number, words))]


CHAT = [*history(20), {"role": "user", "content": "last question"}]


def size(messages: list[dict[str, Any]]) -> int:
    return len(TEMPLATE.render(messages, add_generation_prompt=True).ids)


def test_a_chat_that_fits_is_left_alone() -> None:
    for policy in ("error", "drop_oldest"):
        fitted = fit_context(TEMPLATE, CHAT, max_tokens=size(CHAT), policy=policy)
        assert fitted.dropped_turns == 0
        assert fitted.rendered.ids == TEMPLATE.render(CHAT, add_generation_prompt=True).ids


@pytest.mark.parametrize("words", [0, 1, 12, 100])
@pytest.mark.parametrize("kept", [0, 1, 7, 19])
def test_the_fewest_oldest_turns_go_and_the_system_message_stays(kept: int, words: int) -> None:
    chat = [*history(20, words), {"role": "user", "content": "last question"}]
    expected = [SYSTEM, *chat[1 + 2 * (20 - kept) :]]
    fitted = fit_context(TEMPLATE, chat, max_tokens=size(expected) + 3, policy="drop_oldest")
    assert fitted.dropped_turns == 20 - kept
    assert fitted.rendered.ids == TEMPLATE.render(expected, add_generation_prompt=True).ids


def test_the_error_tells_both_counts() -> None:
    with pytest.raises(ContextLengthError, match="only 100 fit") as caught:
        fit_context(TEMPLATE, CHAT, max_tokens=100)
    assert caught.value.prompt_tokens == size(CHAT)
    assert caught.value.limit == 100


def test_a_last_turn_that_does_not_fit_is_an_error_in_any_case() -> None:
    chat = [*history(3), {"role": "user", "content": "why " * 500}]
    with pytest.raises(ContextLengthError, match="the system message and the last turn alone have") as caught:
        fit_context(TEMPLATE, chat, max_tokens=300, policy="drop_oldest")
    assert caught.value.prompt_tokens == size([SYSTEM, chat[-1]])


def test_the_last_turn_keeps_its_tool_calls_and_open_answer() -> None:
    chat = [*history(5), *turn(6)]
    fitted = fit_context(TEMPLATE, chat, max_tokens=120, policy="drop_oldest", continue_final=True)
    assert fitted.dropped_turns == 5
    assert fitted.rendered.ids == TEMPLATE.render([SYSTEM, *turn(6)], continue_final=True).ids


class CountingEncoder:
    """Stands before the tokenizer and adds up the characters that are encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chars = 0
        for name in ("encode", "count"):
            original = getattr(TextEncoder, name)

            def counted(encoder: TextEncoder, text: str, _original: Any = original, **options: Any) -> Any:
                self.chars += min(len(text), 20_000) if "stop_after" in options else len(text)
                return _original(encoder, text, **options)

            monkeypatch.setattr(TextEncoder, name, counted)


def test_an_enormous_history_is_not_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = [*history(5_000), {"role": "user", "content": "last question"}]
    counter = CountingEncoder(monkeypatch)
    fitted = fit_context(TEMPLATE, chat, max_tokens=1_000, policy="drop_oldest")
    assert len(fitted.rendered.ids) <= 1_000
    assert counter.chars < 100_000 < sum(len(message["content"]) for message in chat) / 4


def test_ten_megabytes_are_refused_without_reading_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = CountingEncoder(monkeypatch)
    with pytest.raises(ContextLengthError, match="about") as caught:
        fit_context(TEMPLATE, [{"role": "user", "content": "why not " * 1_250_000}], max_tokens=2_048)
    assert caught.value.prompt_tokens > 1_000_000
    assert counter.chars < 200_000


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(InvalidParameterError, match="allowed are error, drop_oldest"):
        fit_context(TEMPLATE, CHAT, max_tokens=100, policy="truncate")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty"):
        fit_context(TEMPLATE, [], max_tokens=100)
