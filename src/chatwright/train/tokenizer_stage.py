"""The first thing a run needs: a tokenizer, taken from a model or trained on the recipe's own data."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from chatwright.chat.default import CHATML
from chatwright.data.identity import identity_within
from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Text
from chatwright.data.sources import read_rows
from chatwright.errors import ConfigError
from chatwright.loaded import load_tokenizer
from chatwright.safety.pii import redact
from chatwright.tokenizer import Tokenizer, train_bpe
from chatwright.train.recipe import Recipe, TokenizerSource
from chatwright.train.run_folder import write_text

_ALL_ROWS = (Text, Dialogue, Preference, Rated, Labelled, Prompt)
_ORIGIN_FILE = "origin.json"


def prepare_tokenizer(recipe: Recipe, folder: Path, *, in_use: bool = False) -> Tokenizer:
    """The run's tokenizer.

    Args:
        recipe: says where it comes from.
        folder: where a trained one is kept; it is used again while what it was made from is the same.
        in_use: a model has been trained with it already, so it stays, whatever has become of the data.

    Raises:
        ConfigError: the chat template's file cannot be read, or there is no text to learn from.
        ModelNotFoundError, ModelFormatError: the model that it is taken from has none.
    """
    source = recipe.tokenizer
    if source is None:
        tokenizer = load_tokenizer(recipe.model.source)
    elif source.from_ is not None:
        tokenizer = load_tokenizer(source.from_)
    else:
        tokenizer = _trained(recipe, source, folder, in_use=in_use)
    if recipe.chat_template is not None:
        return with_template(tokenizer, _read_template(Path(recipe.chat_template)))
    return tokenizer


def with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    """The tokenizer with another chat template, which it saves."""
    return Tokenizer(tokenizer.backend, replace(tokenizer.settings, chat_templates={"default": template}))


def _trained(recipe: Recipe, source: TokenizerSource, folder: Path, *, in_use: bool) -> Tokenizer:
    assert source.vocab_size is not None
    keys = source.data or tuple(dict.fromkeys(recipe.data_key(stage) for stage in recipe.stages))
    origin = _origin(recipe, source, keys)
    made_from = folder / _ORIGIN_FILE
    if made_from.is_file() and (in_use or json.loads(made_from.read_text("utf-8")) == origin):
        return Tokenizer.from_folder(folder)
    tokenizer = train_bpe(
        _corpus(recipe, keys, source.max_chars),
        source.vocab_size,
        min_frequency=source.min_frequency,
        chat_template=CHATML,
    )
    if tokenizer.vocab_size <= 259:
        raise ConfigError(
            f"{recipe.name}: there is too little text in data.{', data.'.join(keys)} to train a tokenizer on; add "
            "more, or take one: `tokenizer: default`"
        )
    tokenizer.save(folder)
    write_text(made_from, json.dumps(origin) + "\n")  # last: it says that the rest is whole
    return tokenizer


def _corpus(recipe: Recipe, keys: Iterable[str], max_chars: int) -> Iterator[str]:
    left = max_chars
    for key in keys:
        for row in read_rows(recipe.data[key], kinds=_ALL_ROWS, redact=redact):
            for text in texts_of(row):
                yield text[:left]
                left -= len(text)
                if left <= 0:
                    return


def _origin(recipe: Recipe, source: TokenizerSource, keys: Iterable[str]) -> dict[str, str]:
    """What the tokenizer depends on, files included, short."""
    data = {key: identity_within(recipe.data[key]) for key in keys}
    text = json.dumps([source.model_dump(mode="json"), data], sort_keys=True)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"chat_template: {path} cannot be read: {reason}; give a file of Jinja text") from None
