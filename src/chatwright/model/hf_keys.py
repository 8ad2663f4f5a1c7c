"""Reading of a Hugging Face ``config.json``: typed values with defaults, and errors that name the key."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from chatwright.errors import ModelFormatError, ModelNotFoundError, UnsupportedModelError, json_kind

# Larger values are refused before anything is built from them. No model has them, a file must not be able to make us
# loop over a billion layers, and the size in bytes of any tensor made of two or three of them stays below 2**63.
_LAYERS, _HEADS, _WIDTH = 10_000, 2**14, 2**20
_LARGEST = {
    "vocab_size": 2**26,
    "max_position_embeddings": 2**31,
    "original_max_position_embeddings": 2**31,
    "n_positions": 2**31,
    "num_hidden_layers": _LAYERS,
    "num_layers": _LAYERS,
    "n_layer": _LAYERS,
    "num_attention_heads": _HEADS,
    "num_key_value_heads": _HEADS,
    "num_heads": _HEADS,
    "num_kv_heads": _HEADS,
    "n_head": _HEADS,
    "head_dim": 2**14,
    "num_experts": 2**14,
    "num_local_experts": 2**14,
    "sliding_window": 2**31,
}
_MAX_JSON_BYTES = 100_000_000
_T = TypeVar("_T")


class Keys:
    """The keys of one configuration object; every getter says which key of which file it did not like.

    Args:
        values: the parsed JSON object.
        source: where it came from, for messages.
    """

    def __init__(self, values: Mapping[str, Any], source: str = "config.json") -> None:
        self.values = values
        self.source = source

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer of sane size."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._bad(key, value, "a positive integer")
        if value > (largest := _LARGEST.get(key, _WIDTH)):
            raise self._bad(key, value, f"at most {largest}")
        return value

    def optional_integer(self, key: str) -> int | None:
        """A positive integer, or None where the key is absent or null."""
        return self.integer(key) if self.has(key) else None

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e30:
            raise self._bad(key, value, "a finite number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None where the key is absent or null."""
        return self.number(key) if self.has(key) else None

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self._bad(key, value, "true or false")
        return value

    def text(self, key: str, default: str) -> str:
        """A string."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, str):
            raise self._bad(key, value, "a string")
        return value

    def items(self, key: str) -> list[Any] | None:
        """A list, or None where the key is absent or null."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, list | tuple):
            raise self._bad(key, value, "a list")
        return None if value is None else list(value)

    def table(self, key: str) -> "Keys | None":
        """A nested object, or None where the key is absent, null or empty."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._bad(key, value, "an object")
        return Keys(value, f"{self.source}: {key}") if value else None

    def choice(self, key: str, default: str, allowed: Mapping[str, _T]) -> _T:
        """One of the strings in ``allowed``, translated; any other is a feature that we do not run."""
        value = self.text(key, default)
        if value not in allowed:
            known = ", ".join(map(repr, allowed))
            raise UnsupportedModelError(
                f"{self.source}: {key} is {value!r}, which Chatwright does not run; only {known}"
            )
        return allowed[value]

    def refuse(self, key: str, *harmless: object) -> None:
        """Raise if the key asks for something that would change the result and that we do not compute."""
        value = self.values.get(key)
        if value is not None and value not in harmless:
            raise UnsupportedModelError(f"{self.source}: {key} is {value!r}, which Chatwright does not run")

    def _bad(self, key: str, value: object, wanted: str) -> ModelFormatError:
        if value is None:
            return ModelFormatError(f"{self.source}: {key} is missing; it must be {wanted}")
        return ModelFormatError(f"{self.source}: {key} is {_short(value)}; it must be {wanted}")


def read_json_object(path: Path) -> dict[str, Any]:
    """Parse a JSON file that must hold an object.

    Raises:
        ModelNotFoundError: there is no such file.
        ModelFormatError: it is not UTF-8, not JSON, not an object, or too large to be what it should be.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"it is larger than {_MAX_JSON_BYTES} bytes")
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelNotFoundError(f"{path} does not exist; a model folder needs it") from None
    except (ValueError, RecursionError, OSError) as error:
        raise ModelFormatError(f"{path} cannot be read as JSON: {error}; fetch the model again") from None
    if not isinstance(value, dict):
        raise ModelFormatError(f"{path} must hold a JSON object, not {json_kind(value)}; fetch the model again")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
