"""The GPT as PyTorch modules, its description, and its weights in and out.

Knows tensors and files; knows nothing of text, messages or requests. Names are imported on first use, so that
``import chatwright.model`` does not import PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chatwright.model.attention import Attend as Attend
    from chatwright.model.build import build_model as build_model
    from chatwright.model.config import ModelConfig as ModelConfig
    from chatwright.model.config import MoEConfig as MoEConfig
    from chatwright.model.config import RopeConfig as RopeConfig
    from chatwright.model.families import config_from_hf as config_from_hf
    from chatwright.model.families import config_to_hf as config_to_hf
    from chatwright.model.generation import GenerationDefaults as GenerationDefaults
    from chatwright.model.generation import read_generation_defaults as read_generation_defaults
    from chatwright.model.generation import write_generation_defaults as write_generation_defaults
    from chatwright.model.gpt import GPT as GPT
    from chatwright.model.gpt import GPTOutput as GPTOutput
    from chatwright.model.load import load_model as load_model
    from chatwright.model.presets import PRESETS as PRESETS
    from chatwright.model.presets import count_parameters as count_parameters
    from chatwright.model.presets import preset as preset
    from chatwright.model.save import save_model as save_model

_HOMES = {
    "Attend": "attention",
    "GPT": "gpt",
    "GPTOutput": "gpt",
    "GenerationDefaults": "generation",
    "ModelConfig": "config",
    "MoEConfig": "config",
    "PRESETS": "presets",
    "RopeConfig": "config",
    "build_model": "build",
    "config_from_hf": "families",
    "config_to_hf": "families",
    "count_parameters": "presets",
    "load_model": "load",
    "preset": "presets",
    "read_generation_defaults": "generation",
    "save_model": "save",
    "write_generation_defaults": "generation",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
