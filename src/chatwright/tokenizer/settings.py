"""What a model folder says about its tokenizer beside ``tokenizer.json``: named special tokens and chat templates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chatwright.errors import ModelFormatError, ModelNotFoundError, json_kind

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# The largest tokenizer.json of a published model is about 35 MB; a file beyond this is a mistake or an attack.
MAX_FILE_BYTES = 256 * 2**20
MAX_TEMPLATE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """The readable part of ``tokenizer_config.json`` and the files beside it.

    Attributes:
        special_tokens: the tokens that have a name, such as ``{"bos_token": "<s>"}``.
        extra_special_tokens: further tokens to treat as special.
        chat_templates: Jinja sources by name; the usual one is ``"default"``.
        add_bos: whether plain prompts start with the bos token; None leaves it to ``tokenizer.json``.
    """

    special_tokens: Mapping[str, str] = field(default_factory=dict)
    extra_special_tokens: tuple[str, ...] = ()
    chat_templates: Mapping[str, str] = field(default_factory=dict)
    add_bos: bool | None = None

    @classmethod
    def from_folder(cls, folder: Path) -> "TokenizerSettings":
        """Read the settings of a Hugging Face model folder; files that are absent are taken as empty.

        Raises:
            ModelFormatError: a file is not JSON, too large, or has a value of the wrong type.
        """
        config_path = folder / "tokenizer_config.json"
        config = read_json_object(config_path)
        named = {**read_json_object(folder / "special_tokens_map.json"), **config}
        special = {
            name: _token_text(config_path, name, named[name]) for name in NAMED_TOKENS if named.get(name) is not None
        }
        add_bos = config.get("add_bos_token")
        if add_bos is not None and not isinstance(add_bos, bool):
            raise ModelFormatError(f"{config_path}: add_bos_token is {add_bos!r}; it must be true or false")
        return cls(special, _extra_tokens(config_path, named), _chat_templates(folder, config), add_bos)

    def to_config(self) -> dict[str, Any]:
        """The content of ``tokenizer_config.json`` (templates go into files of their own)."""
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **self.special_tokens}
        if self.extra_special_tokens:
            config["additional_special_tokens"] = list(self.extra_special_tokens)
        if self.add_bos is not None:
            config["add_bos_token"] = self.add_bos
        config["clean_up_tokenization_spaces"] = False
        return config


def read_text(path: Path, *, limit_bytes: int = MAX_FILE_BYTES) -> str:
    """The UTF-8 text of a model's file, bounded in size.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelFormatError: it is too large, unreadable, or not UTF-8.
    """
    try:
        size = path.stat().st_size
        if size > limit_bytes:
            raise ModelFormatError(f"{path} has {size:,} bytes, more than the {limit_bytes:,} such a file may have")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelNotFoundError(f"{path} does not exist; give a folder that holds the whole model") from None
    except UnicodeDecodeError:
        raise ModelFormatError(f"{path} is not UTF-8 text; fetch the file again") from None
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error.strerror or error}") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; empty when there is no such file. Raises ModelFormatError for anything else."""
    if not path.exists():
        return {}
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path} is not valid JSON ({error}); fetch the file again") from None
    if not isinstance(value, dict):
        raise ModelFormatError(f"{path} holds {json_kind(value)}; it must be an object")
    return value


def _token_text(path: Path, name: str, value: object) -> str:
    """A token is written as its text, or as an object whose ``content`` is the text."""
    text = value.get("content") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise ModelFormatError(f"{path}: {name} is {value!r}; it must be a string")
    return text


def _extra_tokens(path: Path, named: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        value = named.get(key) or []
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list):
            raise ModelFormatError(f"{path}: {key} is {value!r}; it must be a list of tokens")
        found += [_token_text(path, key, item) for item in items]
    return tuple(dict.fromkeys(found))


def _chat_templates(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Templates by name; files win over ``tokenizer_config.json``, as they do in transformers."""
    templates: dict[str, str] = {}
    value = config.get("chat_template")
    if isinstance(value, str):
        templates["default"] = value
    elif isinstance(value, list):
        for item in value:
            if not (isinstance(item, dict) and all(isinstance(item.get(key), str) for key in ("name", "template"))):
                raise ModelFormatError(f"{folder / 'tokenizer_config.json'}: chat_template has an entry without a name")
            templates[item["name"]] = item["template"]
    elif value is not None:
        raise ModelFormatError(f"{folder / 'tokenizer_config.json'}: chat_template is not a string")
    files = {"default": folder / "chat_template.jinja"}
    files |= {path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    for name, path in files.items():
        if path.is_file():
            templates[name] = read_text(path, limit_bytes=MAX_TEMPLATE_BYTES)
    return templates
