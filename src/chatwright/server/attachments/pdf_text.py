"""The text of a PDF, in a process of its own: a file made to hang or to fill the memory takes only that with it.

``python -m chatwright.server.attachments.pdf_text LIMIT`` reads a PDF from its input and writes one line of JSON:
``{"text", "pages"}``, or ``{"error"}`` with "encrypted" or "damaged".
"""

import io
import json
import sys
from contextlib import suppress
from typing import Any, Final

MEMORY_BYTES: Final = 2 << 30
CPU_S: Final = 30


def text_of(data: bytes, limit: int) -> dict[str, Any]:
    """The text of a PDF, pages apart by an empty line; reading ends when it has more than ``limit`` characters."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):  # many are "encrypted" with no password, against printing
            return {"error": "encrypted"}
        pieces: list[str] = []
        for page in reader.pages:
            pieces.append(page.extract_text().strip())
            if sum(map(len, pieces)) > limit:
                break
        return {"text": "\n\n".join(filter(None, pieces)), "pages": len(reader.pages)}
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
        return {"error": "damaged"}  # pypdf meets broken structure with whichever of these comes first


def main() -> None:
    """Read, limited; see the module."""
    import logging

    logging.disable(logging.CRITICAL)  # it would repeat pieces of the file
    with suppress(ImportError, ValueError, OSError):  # not on every system; whoever waits for this ends it in any case
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        answer = text_of(sys.stdin.buffer.read(), int(sys.argv[1]))
    except MemoryError:
        answer = {"error": "damaged"}
    sys.stdout.write(json.dumps(answer))  # as ASCII: half characters too are carried over


if __name__ == "__main__":
    main()
