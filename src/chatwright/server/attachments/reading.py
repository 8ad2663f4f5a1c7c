"""From a file to its text: plain text in the encodings that people have, and PDF."""

import asyncio
import codecs
import json
import re
import sys
from dataclasses import dataclass
from typing import Any, Final

import anyio

from chatwright.server.errors import ApiError
from chatwright.server.portability.conversation import MAX_CONTENT_CHARS, storable
from chatwright.server.principal import Principal

MAX_FILE_BYTES: Final = 32 << 20
_PDF_SECONDS: Final = 45.0
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# What text in GB18030 consists of beside ASCII: Han, its punctuation, full-width forms, Greek and Cyrillic in tables.
_NOT_CHINESE: Final = re.compile(
    r"[^\x00-\x7f\u00b7\u2010-\u203b\u2103-\u22ff\u2460-\u25ff\u3000-\u9fff\uf900-\ufaff\uff00-\uffef\u0391-\u0451]"
)


@dataclass(frozen=True, slots=True)
class FileText:
    """What a file says; ``pages`` of a PDF."""

    text: str
    pages: int | None = None


class AttachmentReader:
    """Reads files; PDFs two at a time, each in a process of its own."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(2)

    async def read(self, principal: Principal, data: bytes) -> FileText:
        """The text of a file.

        Raises:
            ApiError: 415 for what is no text; 400 for a PDF that cannot be read or has none; 413 for too much.
        """
        if data[:1024].lstrip().startswith(b"%PDF-"):
            found = await self._pdf(principal, data)
        else:
            text = await anyio.to_thread.run_sync(decode, data)
            if text is None:
                raise ApiError(
                    415,
                    principal.say(
                        "only text (such as .txt, .md, .csv, .json) and PDF can be read",
                        "只能读取文本文件（如 .txt、.md、.csv、.json）和 PDF",
                    ),
                    code="unsupported_file",
                    param="file",
                )
            found = FileText(text)
        if not found.text.strip():
            raise _unreadable(principal, "no_text")
        if len(found.text) > MAX_CONTENT_CHARS:
            raise ApiError(
                413,
                principal.say(
                    f"the file has more than {MAX_CONTENT_CHARS:,} characters; attach a part of it",
                    f"文件超过 {MAX_CONTENT_CHARS:,} 个字符，请只添加其中一部分",
                ),
                code="file_too_large",
                param="file",
            )
        return found

    async def _pdf(self, principal: Principal, data: bytes) -> FileText:
        async with self._places:
            answer = await _run(data)
        if "error" in answer:
            raise _unreadable(principal, answer["error"])
        return FileText(storable(answer["text"]), answer["pages"])


def decode(data: bytes) -> str | None:
    """Text in UTF-8, UTF-16 with its mark, or GB18030; None for what is no text."""
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), None)
    for name in (encoding,) if encoding else ("utf-8", "gb18030"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        is_text = not _CONTROLS.search(text) and (name != "gb18030" or not _NOT_CHINESE.search(text))
        return text.replace("\r\n", "\n") if is_text else None
    return None


async def _run(data: bytes) -> dict[str, Any]:
    """What the process says; "damaged" when it had to be ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "chatwright.server.attachments.pdf_text",
        str(MAX_CONTENT_CHARS),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PDF_SECONDS):
            output, _ = await process.communicate(data)
        answer: dict[str, Any] = json.loads(output)
    except (TimeoutError, ValueError, ConnectionError):
        return {"error": "damaged"}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer


def _unreadable(principal: Principal, reason: str) -> ApiError:
    messages = {
        "encrypted": ("the PDF is protected by a password", "PDF 受密码保护"),
        "damaged": ("the PDF is damaged, or takes too long to read", "PDF 已损坏，或读取耗时过长"),
        "no_text": (
            "there is no text in the file; pages that are pictures cannot be read",
            "文件中没有文字；无法识别图片形式的页面",
        ),
    }
    return ApiError(400, principal.say(*messages[reason]), code=f"file_{reason}", param="file")
