"""A branch of the tree as the model gets it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatwright.chat import Message
from chatwright.chat.messages import Role
from chatwright.server.backends.base import ChatRequest
from chatwright.server.database.tables import MessageRow


def chat_request(
    messages: tuple[Message, ...], sampling: Mapping[str, Any], *, continue_final: bool = False
) -> ChatRequest:
    """A request whose oldest turns may be left out when it does not fit; the answer says how many were."""
    wanted = dict(sampling)
    thinking = wanted.pop("thinking", None)
    return ChatRequest(
        messages=messages,
        sampling=wanted,
        context_policy="drop_oldest",
        continue_final=continue_final,
        template_variables={} if thinking is None else {"enable_thinking": thinking},
    )


def prompt_of(system_prompt: str, branch: Sequence[MessageRow]) -> tuple[Message, ...]:
    """What the model reads: the persona, then who said what in turns.

    Answers without a word (refused, failed) are left out, so are a foreign tool's results in what was imported. Turns
    of one side that then follow each other become one: many templates refuse them otherwise.
    """
    said: list[tuple[Role, str]] = []
    for row in branch:
        if row.role not in ("user", "assistant") or not row.content:
            continue
        role: Role = "user" if row.role == "user" else "assistant"
        text = with_attachments(row.content, row.attachments)
        if said and said[-1][0] == role:
            said[-1] = (role, f"{said[-1][1]}\n\n{text}")
        else:
            said.append((role, text))
    system = [Message("system", system_prompt)] if system_prompt.strip() else []
    return (*system, *(Message(role, text) for role, text in said))


def with_attachments(content: str, attachments: Iterable[Mapping[str, str]]) -> str:
    """A question behind the texts of its files, each under its name."""
    files = [f"[{file['name']}]\n{file['text']}" for file in attachments]
    return "\n\n".join((*files, content))
