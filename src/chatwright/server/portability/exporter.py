"""Conversations as a download: read page by page, written as they are sent."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

import anyio

from chatwright.server.portability.conversation import PortableConversation
from chatwright.server.portability.forms import Form
from chatwright.server.portability.zip_stream import ZipStream
from chatwright.server.principal import Language

_NAME_CHARS: Final = 80


async def one(conversation: PortableConversation, form: Form, language: Language) -> bytes:
    """A file with one conversation."""
    text = await anyio.to_thread.run_sync(form.write, conversation, language)
    return f"{text}\n".encode()


async def many(
    conversations: AsyncIterator[PortableConversation], form: Form, language: Language
) -> AsyncIterator[bytes]:
    """A file with several conversations, in pieces."""
    if form.many == "zip":
        async for piece in _zipped(conversations, form, language):
            yield piece
        return
    between = b",\n" if form.many == "list" else b"\n"
    if form.many == "list":
        yield b"["
    is_first = True
    async for conversation in conversations:
        text = await anyio.to_thread.run_sync(form.write, conversation, language)
        yield (b"" if is_first else between) + text.encode()
        is_first = False
    yield b"]\n" if form.many == "list" else b"\n"


async def _zipped(
    conversations: AsyncIterator[PortableConversation], form: Form, language: Language
) -> AsyncIterator[bytes]:
    number = 0
    with ZipStream() as archive:
        async for conversation in conversations:
            number += 1
            data = await one(conversation, form, language)
            name = f"{number:05d} {file_name(conversation.title)}".strip()
            yield await anyio.to_thread.run_sync(archive.add, f"{name}.{form.suffix}", data)
        yield archive.finish()


def file_name(title: str) -> str:
    """A title as a name for a file, on whichever system it is saved: no separators, no leading dots."""
    kept = "".join(char if char.isalnum() or char in " -_" else "_" for char in title)
    return kept.strip(" _")[:_NAME_CHARS].strip()


def disposition(name: str) -> dict[str, str]:
    """The header by which a browser saves the answer under a name, whatever script that is in (RFC 6266)."""
    return {"Content-Disposition": f"attachment; filename=\"export\"; filename*=UTF-8''{quote(name, safe='')}"}
