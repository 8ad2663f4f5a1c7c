"""The lines of a training file: read, checked one by one, and written in the form that a recipe names.

OpenAI's own forms are read, and every other that :mod:`chatwright.data` knows.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from chatwright.chat import Message
from chatwright.data.files import decoded, numbered_lines, open_bytes
from chatwright.data.formats import parse_row
from chatwright.data.json_stream import parse_json
from chatwright.data.rows import Dialogue, Preference, Row
from chatwright.errors import InputError, json_kind

Method = Literal["supervised", "dpo"]
Redact = Callable[[str], str]
_TEXTS = ("content", "reasoning_content")
KINDS: Mapping[Method, type[Dialogue | Preference]] = {"supervised": Dialogue, "dpo": Preference}


def training_rows(path: Path, method: Method) -> Iterator[tuple[int, Row]]:
    """Every row of a file of JSON lines with the number of its line, from 1.

    Raises:
        InputError: a line cannot be learned from; the message begins with its number.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in numbered_lines(file):
                if line is None:
                    raise InputError("it is longer than 64 MiB")
                if line.strip():
                    yield number, _row(parse_json(decoded(line, repair=False)), method)
    except InputError as error:
        raise InputError(f"line {number}: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"line {number + 1}: it is not UTF-8") from error


def written(row: Row, redact: Redact) -> str:
    """The row as a line of JSON that reads back as the same, its texts as ``redact`` leaves them."""
    match row:
        case Dialogue():
            value: dict[str, Any] = {"messages": _plain(row.messages, redact)}
            for index in row.unlearned:
                value["messages"][index]["weight"] = 0
            if row.tools:
                value["tools"] = list(row.tools)
        case Preference():
            parts = {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}
            value = {name: _plain(messages, redact) for name, messages in parts.items()}
        case _:
            raise AssertionError(row)
    return json.dumps(value, ensure_ascii=False) + "\n"


def question(row: Row, redact: Redact) -> str | None:
    """What the person in a row asks first, as ``redact`` leaves it; None where nobody does."""
    assert isinstance(row, Dialogue | Preference)
    messages = row.messages if isinstance(row, Dialogue) else row.prompt
    return next((redact(message.content) for message in messages if message.role == "user" and message.content), None)


def _row(value: Any, method: Method) -> Row:
    if not isinstance(value, Mapping):
        raise InputError(f"it is {json_kind(value)}; every line must be an object")
    kind = KINDS[method]
    row = parse_row(_without_names_of_openai(value), (kind,))
    if not isinstance(row, kind):
        expected = (
            '{"messages": [{"role": …, "content": …}, …]}'
            if kind is Dialogue
            else '{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]} or '
            '{"prompt": …, "chosen": …, "rejected": …}'
        )
        raise InputError(f"it is no example for the method {method}, whose lines are {expected}")
    return row


def _without_names_of_openai(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A preference in OpenAI's words in ours; anything else as it is."""
    if "preferred_output" not in value or "non_preferred_output" not in value:
        return value
    given = value.get("input")
    if not isinstance(given, Mapping):
        raise InputError("input must be an object with messages")
    if given.get("tools"):
        raise InputError("tools in the input of a preference are not supported; leave them out")
    return {
        "prompt": given.get("messages"),
        "chosen": value["preferred_output"],
        "rejected": value["non_preferred_output"],
    }


def _plain(messages: Sequence[Message], redact: Redact) -> list[dict[str, Any]]:
    return [
        {key: redact(value) if key in _TEXTS and isinstance(value, str) else value for key, value in plain.items()}
        for plain in (message.to_dict() for message in messages)
    ]
