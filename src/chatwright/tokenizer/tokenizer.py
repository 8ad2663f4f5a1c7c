"""The tokenizer of a model: a safe and streaming face over Hugging Face ``tokenizers``."""

import json
import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import tokenizers

from chatwright.errors import InvalidParameterError, ModelFormatError, ModelNotFoundError, StorageError
from chatwright.tokenizer.decoding import Detokenizer, Spelling, spelling_of
from chatwright.tokenizer.legacy import read_vocabulary_files
from chatwright.tokenizer.settings import TokenizerSettings, read_json_object, read_text
from chatwright.tokenizer.text_encoder import TextEncoder


class Tokenizer:
    """Text to ids and back.

    Text never becomes a special token: ``encode("<|im_end|>")`` spells the characters out. Only ``chat`` writes
    special tokens, by their ids.

    Args:
        backend: the Hugging Face tokenizer; it belongs to this object from now on.
        settings: names of special tokens and chat templates.
        model_vocab_size: rows of the model's embedding table, when known; no id may lie beyond it.

    Attributes:
        backend: the Hugging Face tokenizer.
        settings: as given.
        special_ids: ids of the special tokens.
        control_tokens: text to id of the special tokens that exist for the model.
        added_tokens: text to id of the other tokens that the backend matches whole, such as ``<think>``.
        vocab_size: one more than the largest id.
        bos_id, eos_id, pad_id, unk_id: ids of the named special tokens, or None.
        adds_bos: whether a plain prompt for this model should start with the bos token.
        spelling: how pieces become bytes; None where the decoder does not work piece by piece.

    Raises:
        ModelFormatError: two tokens share an id, or an id lies beyond the model's vocabulary.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        settings: TokenizerSettings | None = None,
        *,
        model_vocab_size: int | None = None,
    ) -> None:
        self.backend = backend
        self.settings = settings or TokenizerSettings()
        self._model_vocab_size = model_vocab_size
        backend.no_padding()
        backend.no_truncation()  # a stored truncation would cut long inputs silently
        _declare_special(backend, self.settings)
        added = backend.get_added_tokens_decoder()
        special = {token.content: id_ for id_, token in added.items() if token.special}
        self.special_ids = frozenset(special.values())
        self.vocab_size = _checked_size(backend, self.special_ids, model_vocab_size)
        self.control_tokens = {text: id_ for text, id_ in special.items() if id_ < self.vocab_size}
        self.added_tokens = {token.content: id_ for id_, token in added.items() if not token.special}
        self.bos_id = self._named_id("bos_token")
        self.eos_id = self._named_id("eos_token")
        self.pad_id = self._named_id("pad_token")
        self.unk_id = self._named_id("unk_token")
        self.adds_bos = self._reads_bos()
        self.spelling: Spelling | None = spelling_of(backend)
        self._flags = {token.content: (token.lstrip, token.rstrip) for token in added.values()}
        self._bytes: dict[int, bytes] = {}
        self._encoder = TextEncoder(backend, self.special_ids - {self.unk_id}, self.unk_id)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str]) -> "Tokenizer":
        """Open the tokenizer of a Hugging Face model folder (``tokenizer.json``, or ``vocab.json`` + ``merges.txt``).

        Raises:
            ModelNotFoundError: the folder, or a tokenizer in it, does not exist.
            ModelFormatError: a file is broken or contradicts the model's ``config.json``.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ModelNotFoundError(f"{root} is not a folder; give the folder that holds tokenizer.json")
        settings = TokenizerSettings.from_folder(root)
        path = root / "tokenizer.json"
        backend = _parse(read_text(path), str(path)) if path.exists() else read_vocabulary_files(root)
        model_vocab_size = read_json_object(root / "config.json").get("vocab_size")
        if model_vocab_size is not None and (not isinstance(model_vocab_size, int) or model_vocab_size < 1):
            raise ModelFormatError(f"{root / 'config.json'}: vocab_size is {model_vocab_size!r}; it must be positive")
        return cls(backend, settings, model_vocab_size=model_vocab_size)

    @classmethod
    def from_json(cls, text: str, settings: TokenizerSettings | None = None) -> "Tokenizer":
        """Open a tokenizer from the text of a ``tokenizer.json``. Raises ModelFormatError when it is not one."""
        return cls(_parse(text, "the tokenizer"), settings)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process gets the same tokenizer, made from its JSON."""
        return _from_json, (self.json(), self.settings, self._model_vocab_size)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``tokenizer.json``, ``tokenizer_config.json`` and the chat templates into ``folder``.

        Raises:
            StorageError: the folder cannot be written.
        """
        root = Path(folder)
        files = {
            root / "tokenizer.json": self.json(),
            root / "tokenizer_config.json": json.dumps(self.settings.to_config(), ensure_ascii=False, indent=2) + "\n",
        }
        for name, source in self.settings.chat_templates.items():
            default = name == "default"
            files[root / ("chat_template.jinja" if default else f"additional_chat_templates/{name}.jinja")] = source
        try:
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(path.name + ".partial")
                partial.write_text(content, encoding="utf-8")
                partial.replace(path)
        except OSError as error:
            raise StorageError(f"the tokenizer cannot be written to {root}: {error.strerror or error}") from error

    def json(self) -> str:
        """The text of ``tokenizer.json``."""
        return self.backend.to_str()

    def encode(self, text: str, *, add_bos: bool = False) -> list[int]:
        """The ids of ``text``, never a special one (``unk`` excepted, for what the vocabulary cannot express).

        Args:
            text: a string without lone surrogates.
            add_bos: put the bos token before it, where the model has one.

        Raises:
            InputError: not a string, or it holds lone surrogates.
        """
        ids = self._encoder.encode(text)
        return [self.bos_id, *ids] if add_bos and self.bos_id is not None else ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As :meth:`encode` for many texts at once."""
        return self._encoder.encode_batch(texts)

    def count(self, text: str, *, stop_after: int | None = None) -> int:
        """How many tokens ``text`` has, within a fraction of a percent; stops once above ``stop_after``."""
        return self._encoder.count(text, stop_after=stop_after)

    def text_encoder(self, inert: Iterable[str] = ()) -> TextEncoder:
        """An encoder that spells out ``inert`` tokens too, which are added but not special (``<tool_call>``)."""
        inert_ids = {text: self.added_tokens[text] for text in inert if text in self.added_tokens}
        if not inert_ids:
            return self._encoder
        twin = tokenizers.Tokenizer.from_str(self.json())
        twin.add_special_tokens([tokenizers.AddedToken(text, special=True, normalized=False) for text in inert_ids])
        forbidden = (self.special_ids - {self.unk_id}) | frozenset(inert_ids.values())
        return TextEncoder(twin, forbidden, self.unk_id)

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """The text of ``ids``; bytes that are no character become U+FFFD. Unknown ids give nothing."""
        if self.spelling is None:
            kept = [id_ for id_ in ids if not (skip_special and id_ in self.special_ids)]
            return self.backend.decode(kept, skip_special_tokens=False)
        stream = Detokenizer(self, skip_special=skip_special)
        return "".join([stream.push(id_) for id_ in ids]) + stream.flush()

    def piece(self, token_id: int) -> str:
        """The vocabulary's own spelling of a token; empty for an id that no token has."""
        try:
            return self.backend.id_to_token(token_id) or ""
        except (OverflowError, TypeError):
            raise InvalidParameterError("token_id", f"{token_id!r} is not a token id") from None

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for inside a text; empty for an id that no token has."""
        found = self._bytes.get(token_id)
        if found is None:
            piece = self.piece(token_id)
            found = self._bytes[token_id] = self.spelling.bytes_of(piece) if self.spelling else piece.encode()
        return found

    def token_id(self, text: str) -> int | None:
        """The id of the token spelt ``text`` in the vocabulary, or None."""
        return self.backend.token_to_id(text)

    def strips(self, text: str) -> tuple[bool, bool]:
        """Whether the added token ``text`` swallows the white space on its left and on its right."""
        return self._flags.get(text, (False, False))

    def _named_id(self, name: str) -> int | None:
        text = self.settings.special_tokens.get(name)
        id_ = None if text is None else self.backend.token_to_id(text)
        return id_ if id_ is not None and id_ < self.vocab_size else None

    def _reads_bos(self) -> bool:
        if self.bos_id is None:
            return False
        if self.settings.add_bos is not None:
            return self.settings.add_bos
        return self.backend.encode("", add_special_tokens=True).ids[:1] == [self.bos_id]


def _from_json(text: str, settings: TokenizerSettings, model_vocab_size: int | None) -> Tokenizer:
    return Tokenizer(_parse(text, "the tokenizer"), settings, model_vocab_size=model_vocab_size)


def _parse(text: str, where: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the Rust library raises plain Exception, and PanicException past Exception
        raise ModelFormatError(f"{where} is not a tokenizer.json that can be read: {error}") from None


def _declare_special(backend: tokenizers.Tokenizer, settings: TokenizerSettings) -> None:
    """Make the tokens that the settings name special; some folders name them in ``tokenizer_config.json`` only."""
    known = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    named = [*settings.special_tokens.values(), *settings.extra_special_tokens]
    missing = [text for text in dict.fromkeys(named) if text not in known and backend.token_to_id(text) is not None]
    backend.add_special_tokens([tokenizers.AddedToken(text, special=True, normalized=False) for text in missing])


def _checked_size(backend: tokenizers.Tokenizer, special_ids: frozenset[int], model_vocab_size: int | None) -> int:
    """One more than the largest usable id.

    A special token beyond the model's table is left unused: Gemma 3's text models ship one for images, and text cannot
    reach it. Any other is an error, since its embedding does not exist.
    """
    vocab = backend.get_vocab(with_added_tokens=True)
    if not vocab:
        raise ModelFormatError("the tokenizer has no tokens; fetch its files again")
    if len(set(vocab.values())) != len(vocab):
        raise ModelFormatError("the tokenizer gives one id to several tokens; fetch its files again")
    if model_vocab_size is None:
        return max(vocab.values()) + 1
    beyond = {text: id_ for text, id_ in vocab.items() if id_ >= model_vocab_size and id_ not in special_ids}
    if beyond:
        text, id_ = max(beyond.items(), key=operator.itemgetter(1))
        raise ModelFormatError(
            f"the tokenizer has token {text!r} with id {id_}, but the model's vocab_size is {model_vocab_size}; "
            "the tokenizer and the model do not belong together"
        )
    return max((id_ for id_ in vocab.values() if id_ < model_vocab_size), default=0) + 1
