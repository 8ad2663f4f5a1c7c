"""The texts in a row: all of them, those that are learned, and a row with other texts in their place."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from chatwright.chat import Message
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text

_Row = TypeVar("_Row", Dialogue, Preference, Rated, Prompt)


def texts_of(row: Row) -> Iterator[str]:
    """Everything in a row that a person wrote, in order."""
    match row:
        case Text(text) | Labelled(text):
            yield text
        case Dialogue(messages):
            yield from _contents(messages)
        case Preference(prompt, chosen, rejected):
            yield from _contents((*prompt, *chosen, *rejected))
        case Rated(prompt, completion):
            yield from _contents((*prompt, *completion))
        case Prompt(messages, answer):
            yield from _contents(messages)
            if answer:
                yield answer


def learned_texts(row: Row) -> Iterator[str]:
    """What a model would learn to say: running text, and the assistant's answers."""
    match row:
        case Text(text):
            yield text
        case Dialogue(messages, _, unlearned):
            said = (message for index, message in enumerate(messages) if index not in unlearned)
            yield from _contents(message for message in said if message.role == "assistant")
        case Preference(_, chosen, _):
            yield from _contents(chosen)
        case Rated(_, completion, True):
            yield from _contents(completion)


def is_empty(row: Row) -> bool:
    """Whether there is nothing to learn from it: blank text, or no answer with a word or a call in it."""
    match row:
        case Text(text) | Labelled(text):
            return not text.strip()
        case Dialogue(messages):
            return not any(message.role == "assistant" and _says(message) for message in messages)
        case Rated(_, completion):
            return not any(map(_says, completion))
        case Prompt(messages):
            return not any(map(_says, messages))
    return False


def with_texts(row: Row, change: Callable[[str], str]) -> Row:
    """The row with every text changed; the very same row where no text does."""
    match row:
        case Text(text) | Labelled(text):
            changed = change(text)
            return row if changed is text or changed == text else replace(row, text=changed)
        case Dialogue(messages):
            return _with(row, messages=_changed(messages, change))
        case Preference(prompt, chosen, rejected):
            parts = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
            return _with(row, **{name: _changed(messages, change) for name, messages in parts.items()})
        case Rated(prompt, completion):
            return _with(row, prompt=_changed(prompt, change), completion=_changed(completion, change))
        case Prompt(messages, answer):
            return _with(row, messages=_changed(messages, change), answer=answer and change(answer))
    raise AssertionError(row)


def _contents(messages: Iterable[Message]) -> Iterator[str]:
    for message in messages:
        if message.reasoning_content:
            yield message.reasoning_content
        if message.content:
            yield message.content


def _says(message: Message) -> bool:
    return bool(message.tool_calls or (message.content and message.content.strip()))


def _changed(messages: tuple[Message, ...], change: Callable[[str], str]) -> tuple[Message, ...]:
    changed = tuple(_changed_message(message, change) for message in messages)
    return messages if all(map(_is, changed, messages)) else changed


def _changed_message(message: Message, change: Callable[[str], str]) -> Message:
    content = message.content and change(message.content)
    reasoning = message.reasoning_content and change(message.reasoning_content)
    if content == message.content and reasoning == message.reasoning_content:
        return message
    return replace(message, content=content, reasoning_content=reasoning)


def _is(one: object, other: object) -> bool:
    return one is other


def _with(row: _Row, **parts: Any) -> _Row:
    same = all(_is(value, getattr(row, name)) or value == getattr(row, name) for name, value in parts.items())
    return row if same else replace(row, **parts)
