"""Requests → schedule → run → sample → pieces of text. Sees token ids; knows nothing of messages or HTTP."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.engine.build import build_runner
    from chatwright.engine.core import EngineStats
    from chatwright.engine.engine import Engine
    from chatwright.engine.fake import FakeRunner
    from chatwright.engine.generation import Completion, Delta, Generation, TokenLogprob
    from chatwright.engine.params import Constraint, SamplingParams
    from chatwright.engine.runner import Chunk, Runner

# Imported when first used: sampling parameters are wanted where no model is, and must not load one's libraries.
_HOME_OF = {
    "Chunk": "runner",
    "Completion": "generation",
    "Constraint": "params",
    "Delta": "generation",
    "Engine": "engine",
    "EngineStats": "core",
    "FakeRunner": "fake",
    "Generation": "generation",
    "Runner": "runner",
    "SamplingParams": "params",
    "TokenLogprob": "generation",
    "build_runner": "build",
}

__all__ = [
    "Chunk",
    "Completion",
    "Constraint",
    "Delta",
    "Engine",
    "EngineStats",
    "FakeRunner",
    "Generation",
    "Runner",
    "SamplingParams",
    "TokenLogprob",
    "build_runner",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'chatwright.engine' has no attribute {name!r}")
    return getattr(import_module(f"chatwright.engine.{_HOME_OF[name]}"), name)
