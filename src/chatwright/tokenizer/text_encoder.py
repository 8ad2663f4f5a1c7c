"""Plain text to ids, with the promise that no control token comes out, whatever the text says."""

import json
from collections.abc import Iterable, Sequence

import tokenizers

from chatwright.errors import InputError, ModelFormatError, json_kind

Span = tuple[int, int]
_CHUNK_CHARS = 8192
_SHORT_CHARS = 4096  # about a millisecond; below it, handing the work to another thread is not worth it


class TextEncoder:
    """Encodes text with the matching of control tokens switched off.

    Args:
        backend: the Hugging Face tokenizer. Its ``encode_special_tokens`` switch is set: special tokens found in text
            are spelt out like any other text.
        forbidden: ids that text must never give.
        unknown_id: what to give for a character that the vocabulary knows only as a control token; None refuses it.
    """

    def __init__(self, backend: tokenizers.Tokenizer, forbidden: frozenset[int], unknown_id: int | None) -> None:
        backend.encode_special_tokens = True
        self._at_start = backend
        self._later = _without_first_prefix(backend)
        self._forbidden = forbidden
        self._unknown_id = unknown_id

    def encode(self, text: str, *, at_start: bool = True) -> list[int]:
        """The ids of ``text``.

        Args:
            text: any string without lone surrogates.
            at_start: whether the text opens the sequence; SentencePiece vocabularies put a space before it then.

        Raises:
            InputError: not a string, or it holds lone surrogates.
        """
        ids: list[int] = _encoding(self._backend(at_start), text).ids
        return ids if self._forbidden.isdisjoint(ids) else self._respell(text, at_start)[0]

    def encode_spans(self, text: str, *, at_start: bool = True) -> tuple[list[int], list[Span]]:
        """As :meth:`encode`, with the characters ``[start, end)`` of ``text`` that each token covers."""
        encoding = _encoding(self._backend(at_start), text, spans=True)
        if self._forbidden.isdisjoint(encoding.ids):
            return encoding.ids, encoding.offsets
        return self._respell(text, at_start)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, in parallel where the machine has cores to spare."""
        try:
            encodings = self._at_start.encode_batch_fast(list(texts), add_special_tokens=False)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            return [self.encode(text) for text in texts]  # names the text at fault
        return [
            encoding.ids if self._forbidden.isdisjoint(encoding.ids) else self.encode(text)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def count(self, text: str, *, stop_after: int | None = None) -> int:
        """How many tokens ``text`` has, nearly: it is cut near every 8,192 characters, which may split a token.

        Args:
            stop_after: stop counting above this many; a message of 10 MB is then known to be too long at once.
        """
        total = 0
        for chunk in _chunks(text):
            total += len(_encoding(self._later, chunk))
            if stop_after is not None and total > stop_after:
                break
        return total

    def _backend(self, at_start: bool) -> tokenizers.Tokenizer:
        return self._at_start if at_start else self._later

    def _respell(self, text: str, at_start: bool) -> tuple[list[int], list[Span]]:
        """Encode a text whose *model* (not the matching of added tokens) gives a control id.

        A Unigram or word-level vocabulary holds ``<s>`` as a piece like any other. Cutting the text inside each such
        piece leaves the model no whole piece to find; the parts are encoded alone and may need cutting again.
        """
        encoding = _encoding(self._backend(at_start), text, spans=True)
        found = [span for id_, span in zip(encoding.ids, encoding.offsets, strict=True) if id_ in self._forbidden]
        if not found:
            return encoding.ids, encoding.offsets
        cuts = sorted({start + 1 for start, end in found if end - start > 1} - {len(text)})
        if not cuts:
            return self._replace_forbidden(text, encoding)
        ids: list[int] = []
        spans: list[Span] = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            part_ids, part_spans = self._respell(text[start:end], at_start and start == 0)
            ids += part_ids
            spans += [(start + first, start + last) for first, last in part_spans]
        return ids, spans

    def _replace_forbidden(self, text: str, encoding: tokenizers.Encoding) -> tuple[list[int], list[Span]]:
        if self._unknown_id is None:
            raise InputError(f"the character {text[:1]!r} is a control token of this model and cannot be used as text")
        return [self._unknown_id if id_ in self._forbidden else id_ for id_ in encoding.ids], encoding.offsets


def check_text(text: object) -> str:
    """``text`` itself. Raises InputError when it is not a string, or not one that UTF-8 can express."""
    if not isinstance(text, str):
        raise InputError(f"text must be a string, not {json_kind(text)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"the text has a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}; "
            "decode it as UTF-8 before handing it over"
        ) from None
    return text


def _encoding(backend: tokenizers.Tokenizer, text: str, *, spans: bool = False) -> tokenizers.Encoding:
    """Run the backend on one text; ``spans`` asks for the places of the tokens, which doubles the time.

    ``encode`` holds Python's global lock throughout (2.7 s for 3.6 MB), so a server would stand still meanwhile; the
    batch calls release it.
    """
    try:
        if len(text) <= _SHORT_CHARS:
            return backend.encode(text, add_special_tokens=False)
        encode_batch = backend.encode_batch if spans else backend.encode_batch_fast
        return encode_batch([text], add_special_tokens=False)[0]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the Rust library raises plain Exception, and PanicException past Exception
        check_text(text)
        raise ModelFormatError(f"the tokenizer cannot encode this text: {error}") from None


def _chunks(text: str) -> Iterable[str]:
    """``text`` in pieces of about 8,192 characters, cut before a space where there is one."""
    start = 0
    while start < len(text):
        end = start + _CHUNK_CHARS
        if end < len(text):
            space = text.rfind(" ", start + _CHUNK_CHARS // 2, end)
            end = space if space > 0 else end
        yield text[start:end]
        start = end


def _without_first_prefix(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The tokenizer for text that follows other tokens: a twin where only the first text gets a leading space."""
    stages = [json.loads(stage.__getstate__()) for stage in (backend.normalizer, backend.pre_tokenizer) if stage]
    if not any('"prepend_scheme": "first"' in json.dumps(stage) for stage in stages):
        return backend
    twin = json.loads(backend.to_str())
    _set_prepend_never(twin.get("normalizer"))
    _set_prepend_never(twin.get("pre_tokenizer"))
    later = tokenizers.Tokenizer.from_str(json.dumps(twin))
    later.encode_special_tokens = True
    return later


def _set_prepend_never(stage: object) -> None:
    if isinstance(stage, dict):
        if stage.get("prepend_scheme") == "first":
            stage["prepend_scheme"] = "never"
        for child in stage.values():
            _set_prepend_never(child)
    elif isinstance(stage, list):
        for child in stage:
            _set_prepend_never(child)
