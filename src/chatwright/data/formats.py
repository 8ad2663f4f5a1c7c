"""What a record means: rows recognised by their keys, or read as the format that the settings name.

The same record can mean different things to different stages: a question with its answer is a dialogue to imitate, or
a prompt whose answers are graded. The kinds of rows that a stage learns from decide.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chatwright.chat import Message
from chatwright.chat.marks import checked
from chatwright.data.conversations import (
    assistant,
    is_transcript,
    parse_answer,
    parse_conversation,
    parse_prompt,
    parse_tools,
    parse_transcript,
    parse_unlearned,
    user,
)
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.data.settings import Format
from chatwright.errors import InputError, json_kind

Kinds = tuple[type, ...]
Record = Mapping[str, Any]

_QUESTIONS = ("prompt", "question", "instruction", "query")
_ANSWERS = ("answer", "answers", "completion", "response", "output", "solution")
_INPUTS = ("input", "context")
_TEXTS = ("text", "content")
_CONVERSATIONS = ("messages", "conversations", "conversation")
_GOOD = {"true": True, "1": True, "good": True, "desirable": True, "yes": True}
_BAD = {"false": False, "0": False, "-1": False, "bad": False, "undesirable": False, "no": False}

KIND_KEYS: Mapping[type, str] = {
    Text: '{"text"}',
    Dialogue: '{"messages"}, {"conversations"} or {"instruction", "output"}',
    Preference: '{"prompt", "chosen", "rejected"}',
    Rated: '{"prompt", "completion", "label"}',
    Labelled: '{"text", "label"}',
    Prompt: '{"prompt"} or {"question", "answer"}',
}


def parse_row(record: Any, kinds: Kinds, format: Format = "auto") -> Row:
    """The row that a record is.

    Args:
        record: a JSON object.
        kinds: what the stage learns from; decides where a record can mean several things. The row may still be of
            another kind, which the caller refuses.
        format: what every record is; ``auto``: recognised by its keys.

    Raises:
        InputError: a key is missing or holds something else than it should; the message says which.
    """
    if not isinstance(record, Mapping):
        raise InputError(f"{json_kind(record)}, where an object with named values is expected")
    given = {key: value for key, value in record.items() if value is not None}
    return _PARSERS[_recognised(given, kinds) if format == "auto" else format](given, kinds)


def _recognised(record: Record, kinds: Kinds) -> Format:
    has = record.__contains__
    has_label = has("label")
    conversation = next((key for key in _CONVERSATIONS if has(key)), None)
    if has("chosen") and has("rejected"):
        return "preference"
    if has_label and (has("completion") or (conversation and Rated in kinds)):
        return "rated"
    if conversation:
        return "openai"
    if has("instruction"):
        return "alpaca"
    if any(map(has, _QUESTIONS)):
        return "prompt"
    if has("text") and has_label and (Labelled in kinds or Text not in kinds):
        return "labelled"
    if any(map(has, _TEXTS)):
        return "text"
    keys = ", ".join(f"{key[:40]!r}" for key in list(record)[:12]) or "none"
    raise InputError(f"no known format has its keys ({keys}); map them by columns, for example columns: {{text: …}}")


def _text(record: Record, kinds: Kinds) -> Row:
    return Text(_string(record, *_TEXTS))


def _labelled(record: Record, kinds: Kinds) -> Row:
    label = record.get("label")
    if not isinstance(label, str | int) or label == "":
        raise InputError(f"label is {label!r}; it must be a name or a number")
    return Labelled(_string(record, *_TEXTS), str(label))


def _alpaca(record: Record, kinds: Kinds) -> Row:
    messages = _instruction_messages(record)
    if "output" not in record:
        return _prompt_row(record, messages)
    return _dialogue_or_prompt(record, (*messages, assistant(_string(record, "output"))), kinds)


def _instruction_messages(record: Record) -> tuple[Message, ...]:
    """System, history and instruction with its input: everything of an Alpaca record before the output."""
    messages = _system(record)
    for number, turn in enumerate(record.get("history") or (), 1):
        if not isinstance(turn, list | tuple) or len(turn) != 2 or not all(isinstance(said, str) for said in turn):
            raise InputError(f"history, turn {number}: it must be a pair of texts, a question and its answer")
        messages += (user(turn[0]), assistant(turn[1]))
    return (*messages, user(_with_input(record, _string(record, "instruction"))))


def _with_input(record: Record, question: str) -> str:
    """A question with what it is about: an instruction's input follows it, a question's context comes before."""
    before, after = record.get("context") or "", record.get("input") or ""
    if not isinstance(before, str) or not isinstance(after, str):
        raise InputError("input and context must be strings")
    return "\n".join(part for part in (before, question, after) if part)


def _conversation(record: Record, kinds: Kinds) -> Row:
    given = _said(record)
    messages = _with_system(record, given)
    row = _dialogue_or_prompt(record, messages, kinds)
    if isinstance(row, Dialogue) and (marked := parse_unlearned(record[_conversation_key(record)])):
        places = [len(messages) - len(given) + index for index in marked]  # a system message may stand before them
        answers = [index for index, message in enumerate(row.messages) if message.role == "assistant"]
        return replace(row, unlearned=tuple(index for index in answers if index in places))
    return row


def _messages(record: Record) -> tuple[Message, ...]:
    return _with_system(record, _said(record))


def _said(record: Record) -> tuple[Message, ...]:
    key = _conversation_key(record)
    return parse_conversation(_value(record, key), key)


def _conversation_key(record: Record) -> str:
    return next((key for key in _CONVERSATIONS if key in record), _CONVERSATIONS[0])


def _dialogue_or_prompt(record: Record, messages: tuple[Message, ...], kinds: Kinds) -> Row:
    """A dialogue to imitate; where only prompts are wanted, its last answer becomes the right one."""
    if Dialogue not in kinds and Prompt in kinds:
        if messages[-1].role != "assistant":
            return _prompt_row(record, messages)
        if len(messages) > 1:
            return _prompt_row(record, messages[:-1], messages[-1].content)
    if messages[-1].role != "assistant":
        if Prompt in kinds:
            return _prompt_row(record, messages)
        messages = _answered(messages)
    return Dialogue(messages, parse_tools(record.get("tools")))


def _answered(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A conversation up to its last answer: many a log ends with a question that nobody came to answer."""
    end = max((index for index, message in enumerate(messages, 1) if message.role == "assistant"), default=0)
    if not end:
        raise InputError(f"the last message is the {messages[-1].role}'s; there is no answer to learn")
    return messages[:end]


def _prompt(record: Record, kinds: Kinds) -> Row:
    """A question, to imitate its answer or to be answered."""
    messages = _prompt_messages(record)
    key = next((key for key in _ANSWERS if key in record), None)
    if key is None or Dialogue not in kinds:
        return _prompt_row(record, messages)
    answer = _answer(record[key])
    said = parse_answer(record[key], key) if answer is None else (assistant(answer),)
    return Dialogue(messages + said, parse_tools(record.get("tools")))


def _prompt_row(record: Record, messages: tuple[Message, ...], answer: str | None = None) -> Prompt:
    used = next((key for key in _ANSWERS if key in record), None)
    if answer is None and used:
        answer = _answer(record[used])
    if not messages:
        raise InputError("the prompt is empty")
    if messages[-1].role == "assistant":
        raise InputError("a prompt ends with the assistant's message; its last must be the user's")
    known = (*_QUESTIONS, *_CONVERSATIONS, *_INPUTS, "system", "history", used if answer is not None else None)
    return Prompt(messages, answer, {key: value for key, value in record.items() if key not in known})


def _answer(value: Any) -> str | None:
    """An answer as text: the first, where several are right, also as SQuAD lists them; None for messages."""
    match value:
        case str(text):
            return text
        case bool() | int() | float():
            return str(value)
        case [str(text), *_] | {"text": [str(text), *_]}:
            return text
    return None


def _prompt_messages(record: Record) -> tuple[Message, ...]:
    """What an answer answers, under whichever key it stands."""
    if any(key in record for key in _CONVERSATIONS):
        return _messages(record)
    if "instruction" in record and "prompt" not in record:
        return _instruction_messages(record)
    key = next((key for key in _QUESTIONS if key in record), "prompt")
    value = _value(record, key)
    if is_transcript(value):
        messages = parse_transcript(value)
        return messages[:-1] if messages and messages[-1] == assistant("") else messages
    if isinstance(value, str):
        value = _with_input(record, value)
    return _with_system(record, parse_prompt(value, key))


def _preference(record: Record, kinds: Kinds) -> Row:
    chosen, rejected = _value(record, "chosen"), _value(record, "rejected")
    has_prompt = any(key in record for key in (*_QUESTIONS, *_CONVERSATIONS))
    if is_transcript(chosen) and is_transcript(rejected):
        good, bad = parse_transcript(chosen), parse_transcript(rejected)
    else:
        good, bad = parse_answer(chosen, "chosen"), parse_answer(rejected, "rejected")
    shared = _shared(good, bad)
    prompt = _prompt_messages(record) if has_prompt and not shared else _with_system(record, good[:shared])
    good, bad = good[shared:], bad[shared:]
    for key, answer in (("chosen", good), ("rejected", bad)):
        if not answer or answer[-1].role != "assistant":
            raise InputError(f"{key} does not end with an answer of the assistant")
    if good == bad:
        raise InputError("chosen and rejected are equal")
    return Preference(prompt, good, bad, _margin(record))


def _shared(one: tuple[Message, ...], other: tuple[Message, ...]) -> int:
    """How many messages two whole conversations start with in common; the last of each is always an answer."""
    shortest = min(len(one), len(other)) - 1
    return next((index for index in range(shortest) if one[index] != other[index]), shortest)


def _margin(record: Record) -> float | None:
    if "margin" in record:
        return _number(record, "margin")
    if "score_chosen" in record and "score_rejected" in record:
        return _number(record, "score_chosen") - _number(record, "score_rejected")
    return None


def _rated(record: Record, kinds: Kinds) -> Row:
    label = _value(record, "label")
    good = {**_GOOD, **_BAD}.get(str(label).strip().lower().removesuffix(".0"))
    if good is None:
        raise InputError(f"label is {label!r}; it must be true (good) or false (bad)")
    if "completion" in record:
        completion = parse_answer(record["completion"], "completion")
        prompt = _prompt_messages(record)
    else:
        *before, last = _messages(record)
        prompt, completion = tuple(before), (last,)
    if not completion or completion[-1].role != "assistant":
        raise InputError("the completion does not end with an answer of the assistant")
    return Rated(prompt, completion, good)


def _system(record: Record) -> tuple[Message, ...]:
    system = record.get("system") or ""
    if not isinstance(system, str):
        raise InputError(f"system is {json_kind(system)}; it must be a string")
    return (Message("system", system),) if system else ()


def _with_system(record: Record, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return messages if messages and messages[0].role == "system" else _system(record) + messages


def _value(record: Record, key: str) -> Any:
    if key not in record:
        raise InputError(f"{key} is missing")
    return record[key]


def _string(record: Record, *keys: str) -> str:
    """The text under the first of the keys that is there."""
    key = next((key for key in keys if key in record), keys[0])
    value = _value(record, key)
    if not isinstance(value, str):
        raise InputError(f"{key} is {json_kind(value)}; it must be a string")
    return checked(value)


def _number(record: Record, key: str) -> float:
    value = record[key]
    try:
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    raise InputError(f"{key} is {value!r}; it must be a number")


_PARSERS: Mapping[str, Callable[[Record, Kinds], Row]] = {
    "text": _text,
    "alpaca": _alpaca,
    "sharegpt": _conversation,
    "openai": _conversation,
    "preference": _preference,
    "rated": _rated,
    "labelled": _labelled,
    "prompt": _prompt,
}
