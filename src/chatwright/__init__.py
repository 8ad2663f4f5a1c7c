"""Chatwright: build, run and improve a ChatGPT of your own.

Public names are imported when they are first used, so ``import chatwright`` is quick and loads no torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from chatwright.errors import ChatwrightError

if TYPE_CHECKING:
    from chatwright.classifier import Classifier
    from chatwright.engine.params import Constraint, SamplingParams
    from chatwright.loaded import LoadedModel, load_tokenizer
    from chatwright.model.export import export_model
    from chatwright.model.hub import pull
    from chatwright.model.load import load_model
    from chatwright.model.resolve import resolve_model
    from chatwright.session import Chat, Reply
    from chatwright.tokenizer import Tokenizer

try:
    __version__ = version("chatwright")
except PackageNotFoundError:  # the sources on the path, not installed
    __version__ = "0+unknown"

_HOME_OF = {
    "Chat": "chatwright.session",
    "Classifier": "chatwright.classifier",
    "Constraint": "chatwright.engine.params",
    "LoadedModel": "chatwright.loaded",
    "Reply": "chatwright.session",
    "SamplingParams": "chatwright.engine.params",
    "Tokenizer": "chatwright.tokenizer",
    "export_model": "chatwright.model.export",
    "load_model": "chatwright.model.load",
    "load_tokenizer": "chatwright.loaded",
    "pull": "chatwright.model.hub",
    "resolve_model": "chatwright.model.resolve",
}

__all__ = [
    "Chat",
    "ChatwrightError",
    "Classifier",
    "Constraint",
    "LoadedModel",
    "Reply",
    "SamplingParams",
    "Tokenizer",
    "__version__",
    "export_model",
    "load_model",
    "load_tokenizer",
    "pull",
    "resolve_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'chatwright' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
