"""Documents of plain text files."""

import io
from collections.abc import Iterator
from typing import Literal

from chatwright.data.files import decoded, numbered_lines
from chatwright.errors import InputError

Sampling = Literal["section", "paragraph", "line"]

SEPARATOR = "<|endoftext|>"  # alone on a line, as TinyStories and others put it between documents
_SECTION_CHARACTERS = 16_384


def text_documents(
    file: io.BufferedReader, sampling: Sampling, *, repair: bool
) -> Iterator[tuple[int, str | InputError]]:
    """Documents with the number of their first line; an error in place of a line that is not text.

    Args:
        file: what is to be read.
        sampling: ``line``: a document is a line; ``paragraph``: what stands between empty lines; ``section``: the
            whole file, but a long one is cut at an empty line (or at a line's end, if none comes) after every 16,384
            characters, so that a single book still gives documents to shuffle and to hold out.
        repair: whether mistaken encodings are mended.
    """
    lines: list[str] = []
    start = size = 0
    for number, raw in numbered_lines(file):
        try:
            if raw is None:
                raise InputError("the line is longer than 64 MiB")
            line = decoded(raw, repair=repair).rstrip("\r\n")
        except InputError as error:
            yield number, error
            continue
        is_blank = not line.strip()
        if lines and _ends_before(line, is_blank, sampling, size):
            yield start, "\n".join(lines).rstrip()
            lines, size = [], 0
        if line.strip() == SEPARATOR or (is_blank and not lines):
            continue
        if not lines:
            start = number
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield start, "\n".join(lines).rstrip()


def _ends_before(line: str, is_blank: bool, sampling: Sampling, size: int) -> bool:
    """Whether the document that ``size`` characters have been read of ends before ``line``."""
    if sampling == "line" or line.strip() == SEPARATOR:
        return True
    if sampling == "paragraph":
        return is_blank
    return size >= _SECTION_CHARACTERS and (is_blank or size >= 2 * _SECTION_CHARACTERS)
