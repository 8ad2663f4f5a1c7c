"""How much memory a model takes, known before it is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatwright.engine.build import choose_device, choose_dtype, weight_bytes
from chatwright.engine.limits import block_bytes
from chatwright.loaded import model_folder
from chatwright.model.families import config_from_hf
from chatwright.model.hf_keys import read_json_object
from chatwright.model.load import parse_dtype
from chatwright.model.resolve import human_size
from chatwright.server.errors import ApiError

_SEQUENCES: Final = 32  # as many of full length at once hardly ever run; memory beyond is better kept for other models
_KV_PART: Final = 4  # of what the weights leave of the budget, a quarter is for keys and values
_PACKED: Final = 1.5  # on a CPU the decoder keeps a copy of the weights in 8 bits


@dataclass(frozen=True, slots=True)
class Needs:
    """What a model takes.

    Attributes:
        weight_bytes: of its weights in memory.
        kv_bytes: of keys and values that are worth having.
    """

    weight_bytes: int
    kv_bytes: int

    @property
    def total_bytes(self) -> int:
        """Both together."""
        return self.weight_bytes + self.kv_bytes


class NoRoom(ApiError):
    """Models that are in use leave no memory for another one; this passes."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "other models that are in use take all the memory; try again later",
            code="model_unavailable",
            headers={"Retry-After": "5"},
        )


def needs(path: Path, *, device: str, dtype: str, max_model_len: int | None, budget_bytes: int) -> Needs:
    """What a model takes within a budget for all models together.

    Args:
        path: as :func:`chatwright.model.resolve.resolve_model` found it.
        device, dtype, max_model_len: with which it is to be opened.
        budget_bytes: for all models.

    Raises:
        ApiError: it can never fit.
        ModelFormatError, UnsupportedModelError, StorageError: it cannot be read.
    """
    folder = model_folder(path, device=device, dtype=dtype)
    target = choose_device(device)
    wanted = parse_dtype(choose_dtype(dtype, target))
    source = folder / "config.json"
    config = config_from_hf(read_json_object(source), source=str(source))
    weights = int(weight_bytes(folder, wanted) * (_PACKED if target.type == "cpu" and dtype == "auto" else 1))
    element = wanted.itemsize if wanted is not None else 2
    sequence = block_bytes(config, max_model_len or config.max_position_embeddings, element)
    keys_and_values = min(_SEQUENCES * sequence, max((budget_bytes - weights) // _KV_PART, 0))
    if keys_and_values < block_bytes(config, 64, 4):
        raise ApiError(
            503,
            f"the model takes {human_size(weights)} for its weights alone, and models_memory_bytes allows "
            f"{human_size(budget_bytes)} for all models together; allow more, or serve a smaller one",
            code="model_unavailable",
        )
    return Needs(weights, keys_and_values)
