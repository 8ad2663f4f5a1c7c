"""The forms in which conversations leave: Markdown for people, JSON for programs, lines for training."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from chatwright.server.conversations.prompts import with_attachments
from chatwright.server.portability.chatgpt import to_chatgpt
from chatwright.server.portability.conversation import PortableConversation
from chatwright.server.portability.own import to_own
from chatwright.server.principal import Language

FormName = Literal["markdown", "json", "chatgpt", "sharegpt", "messages"]

_HEADINGS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "user": "User",
        "assistant": "Assistant",
        "system": "System prompt",
        "untitled": "Untitled",
        "files": "Files",
    },
    "zh": {"user": "用户", "assistant": "助手", "system": "系统提示词", "untitled": "未命名", "files": "附件"},
}
_SHAREGPT: Final = {"system": "system", "user": "human", "assistant": "gpt"}
_ESCAPED: Final = r"\\\1"
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&])")


@dataclass(frozen=True, slots=True)
class Form:
    """How one form is written.

    Attributes:
        suffix, media_type: of a file.
        write: a conversation as text, without an end of line.
        many: of several conversations: a JSON list, lines, or a ZIP with a file for each.
    """

    suffix: str
    media_type: str
    write: Callable[[PortableConversation, Language], str]
    many: Literal["list", "lines", "zip"]


def to_markdown(conversation: PortableConversation, language: Language) -> str:
    """The branch that is shown, to be read."""
    words = _HEADINGS[language]
    title = _MARKUP.sub(_ESCAPED, conversation.title) or words["untitled"]  # it is text, whatever it looks like
    parts = [f"# {title}", _date(conversation.created_ms)]
    if conversation.system_prompt:
        parts += [f"## {words['system']}", conversation.system_prompt]
    for message in conversation.branch():
        if not message.content:
            continue
        by = f" · {_MARKUP.sub(_ESCAPED, message.model)}" if message.role == "assistant" and message.model else ""
        parts += [f"## {words[message.role]}{by}"]
        if message.attachments:
            names = ", ".join(_MARKUP.sub(_ESCAPED, str(file.get("name", ""))) for file in message.attachments)
            parts += [f"*{words['files']}: {names}*"]
        parts += [message.content]
    return "\n\n".join(parts)


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def turns(conversation: PortableConversation) -> list[tuple[str, str]]:
    """Role and text of the branch that is shown, as a model was told it: the form of training data."""
    said = [("system", conversation.system_prompt)] if conversation.system_prompt else []
    for message in conversation.branch():
        if message.content:
            said.append((message.role, with_attachments(message.content, message.attachments)))
    return said


def _to_sharegpt(conversation: PortableConversation, language: Language) -> str:
    said = [{"from": _SHAREGPT[role], "value": text} for role, text in turns(conversation)]
    return _json({"id": conversation.key, "title": conversation.title, "conversations": said})


def _to_messages(conversation: PortableConversation, language: Language) -> str:
    return _json({"messages": [{"role": role, "content": text} for role, text in turns(conversation)]})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


FORMS: Mapping[FormName, Form] = {
    "markdown": Form("md", "text/markdown", to_markdown, "zip"),
    "json": Form("json", "application/json", lambda conversation, _: _json(to_own(conversation)), "list"),
    "chatgpt": Form("json", "application/json", lambda conversation, _: _json(to_chatgpt(conversation)), "list"),
    "sharegpt": Form("jsonl", "application/jsonl", _to_sharegpt, "lines"),
    "messages": Form("jsonl", "application/jsonl", _to_messages, "lines"),
}
