"""Ids to text, one token at a time, whole characters only.

A token of a byte-level or byte-fallback vocabulary is a few *bytes*, which may end in the middle of a character. We
turn ids into bytes and let one incremental UTF-8 decoder hold back what is incomplete, so that a token costs the same
however long the text is, and a whole decode is by construction the concatenation of the pieces.
"""

import codecs
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import tokenizers

if TYPE_CHECKING:
    from chatwright.tokenizer.tokenizer import Tokenizer

_METASPACE = "\u2581"
_MAX_PENDING = 8  # no character is longer than 4 bytes, so 8 tokens that still end in U+FFFD never will be one
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_alphabet() -> list[str]:
    """The 256 printable characters that stand for the bytes 0–255 in byte-level vocabularies, in byte order.

    Source: GPT-2's encoder (Radford et al. 2019): printable Latin-1 stands for itself, the rest is moved above U+0100.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    moved = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(256)]


_BYTE_OF_CHAR = {char: byte for byte, char in enumerate(byte_alphabet())}


class Spelling(Protocol):
    """How a vocabulary writes text: what bytes a piece stands for, and what is dropped at the start of a text."""

    strip_count: int
    """How many spaces to remove from the start of the text."""

    def bytes_of(self, piece: str) -> bytes:
        """The bytes that ``piece`` stands for inside a text."""
        ...

    def first_bytes_of(self, piece: str) -> bytes:
        """The bytes that ``piece`` stands for at the start of a text."""
        ...


class ByteLevelSpelling:
    """GPT-2 style: each character of a piece is one byte."""

    strip_count = 0

    def bytes_of(self, piece: str) -> bytes:
        """One byte for each character."""
        try:
            return bytes([_BYTE_OF_CHAR[char] for char in piece])
        except KeyError:  # an added token, written as itself
            return piece.encode()

    first_bytes_of = bytes_of


class SentencePieceSpelling:
    """SentencePiece style: a mark for the space, ``<0x41>`` for a byte that no piece covers.

    Args:
        replacements: ``(old, new)`` applied to each piece.
        byte_fallback: whether ``<0x41>`` is a byte.
        strip_count: spaces to remove from the start of the text.
        bare_start: the first piece of a text drops its space marks altogether (the ``Metaspace`` decoder).
    """

    def __init__(
        self, replacements: Sequence[tuple[str, str]], *, byte_fallback: bool, strip_count: int, bare_start: bool
    ) -> None:
        self.strip_count = strip_count
        self._replacements = tuple(replacements)
        self._byte_fallback = byte_fallback
        self._bare_start = bare_start

    def bytes_of(self, piece: str) -> bytes:
        """A byte for a byte token, else the text with its marks replaced."""
        if self._byte_fallback and (byte := _BYTE_TOKEN.fullmatch(piece)):
            return bytes([int(byte[1], 16)])
        for old, new in self._replacements:
            piece = piece.replace(old, new)
        return piece.encode()

    def first_bytes_of(self, piece: str) -> bytes:
        """As :meth:`bytes_of`, without space marks where the decoder drops them."""
        return self.bytes_of(piece.replace(_METASPACE, "") if self._bare_start else piece)


def spelling_of(backend: tokenizers.Tokenizer) -> Spelling | None:
    """The spelling that ``backend``'s decoder describes; None for one that does not work piece by piece."""
    if backend.decoder is None:
        return None
    state: dict[str, Any] = json.loads(backend.decoder.__getstate__())
    steps = state["decoders"] if state["type"] == "Sequence" else [state]
    if [step["type"] for step in steps] == ["ByteLevel"]:
        return ByteLevelSpelling()
    return _sentencepiece_spelling(steps)


def _sentencepiece_spelling(steps: list[dict[str, Any]]) -> SentencePieceSpelling | None:
    replacements: list[tuple[str, str]] = []
    byte_fallback = fused = bare_start = False
    strip_count = 0
    for step in steps:
        match step:
            case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)} if not fused:
                replacements.append((old, new))
            case {"type": "Metaspace", "replacement": str(mark), "prepend_scheme": str(scheme)} if not fused:
                if mark != _METASPACE:
                    return None
                replacements.append((mark, " "))
                bare_start = scheme != "never"
            case {"type": "ByteFallback"} if not fused:
                byte_fallback = True
            case {"type": "Fuse"}:
                fused = True
            case {"type": "Strip", "content": " ", "start": int(start), "stop": 0} if fused and not strip_count:
                strip_count = start
            case _:
                return None
    return SentencePieceSpelling(
        replacements, byte_fallback=byte_fallback, strip_count=strip_count, bare_start=bare_start
    )


class Detokenizer:
    """Streams the text of a sequence of ids.

    Args:
        tokenizer: whose ids they are.
        skip_special: leave special tokens out of the text.
        continuing: the ids continue a text, so the space that opens a text in SentencePiece is kept.
    """

    def __init__(self, tokenizer: "Tokenizer", *, skip_special: bool = True, continuing: bool = False) -> None:
        self._stream: _ByteStream | _WindowStream = (
            _WindowStream(tokenizer, skip_special)
            if tokenizer.spelling is None
            else _ByteStream(tokenizer, tokenizer.spelling, skip_special, continuing)
        )

    def push(self, token_id: int) -> str:
        """The text that ``token_id`` completes: whole characters, perhaps none. Constant time."""
        return self._stream.push(token_id)

    def flush(self) -> str:
        """What is still held back, when no token will follow: U+FFFD for bytes that never became a character."""
        return self._stream.flush()


class _ByteStream:
    def __init__(self, tokenizer: "Tokenizer", spelling: Spelling, skip_special: bool, continuing: bool) -> None:
        self._token_bytes = tokenizer.token_bytes
        self._tokenizer = tokenizer
        self._spelling = spelling
        self._hidden = tokenizer.special_ids if skip_special else frozenset[int]()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._opening = not continuing
        self._to_strip = 0 if continuing else spelling.strip_count

    def push(self, token_id: int) -> str:
        if token_id in self._hidden:
            return ""
        if self._opening:
            self._opening = False
            data = self._spelling.first_bytes_of(self._tokenizer.piece(token_id))
        else:
            data = self._token_bytes(token_id)
        text = self._decoder.decode(data)
        return self._strip(text) if self._to_strip and text else text

    def flush(self) -> str:
        text = self._decoder.decode(b"", final=True)
        return self._strip(text) if self._to_strip and text else text

    def _strip(self, text: str) -> str:
        while self._to_strip and text.startswith(" "):
            text = text[1:]
            self._to_strip -= 1
        if text:
            self._to_strip = 0
        return text


class _WindowStream:
    """For decoders that join pieces by rules of their own (WordPiece, word-level): decode a short window twice.

    The text of a new token is what it adds to the text of the tokens since the last emission, so spaces between words
    come out right without decoding everything again.
    """

    def __init__(self, tokenizer: "Tokenizer", skip_special: bool) -> None:
        self._backend = tokenizer.backend
        self._hidden = tokenizer.special_ids if skip_special else frozenset[int]()
        self._context: list[int] = []
        self._pending: list[int] = []

    def push(self, token_id: int) -> str:
        if token_id in self._hidden:
            return ""
        self._pending.append(token_id)
        text = self._added_text()
        if not text or (text.endswith("\ufffd") and len(self._pending) < _MAX_PENDING):
            return ""
        self._context, self._pending = self._pending, []
        return text

    def flush(self) -> str:
        text = self._added_text()
        self._context, self._pending = [], []
        return text

    def _added_text(self) -> str:
        decode = self._backend.decode
        before = decode(self._context, skip_special_tokens=False) if self._context else ""
        return decode([*self._context, *self._pending], skip_special_tokens=False)[len(before) :]
