"""A model that scores texts instead of continuing them: a matrix on the last token's state, in place of the head.

Such a folder is what ``transformers`` calls ``…ForSequenceClassification``: classifiers, and reward models with one
score. The matrix lies in a file of its own, so that adding it copies none of the model's weights.

Shape legend: L scores, C hidden width.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from chatwright.errors import ModelFormatError, StorageError
from chatwright.model.hf_keys import read_json_object
from chatwright.model.safetensors_io import INDEX_FILE, SINGLE_FILE, SafetensorsFolder, read_header, write_safetensors

NAME = "score.weight"
_SUFFIX = "ForSequenceClassification"


@dataclass(frozen=True, slots=True)
class ScoreHead:
    """The matrix and what its outputs stand for.

    Attributes:
        weight: [L, C]; the scores are its product with the last token's state, after the final norm.
        labels: L names.
    """

    weight: Tensor
    labels: tuple[str, ...]


def save_score_head(folder: str | Path, head: ScoreHead, *, pad_token_id: int | None) -> None:
    """Turn the folder of a saved model into one that scores.

    Args:
        folder: as :func:`~chatwright.model.save_model` writes it.
        head: what is added.
        pad_token_id: see :func:`pad_id_for`.
    Raises:
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    values = read_json_object(folder / "config.json")
    family = str(values["architectures"][0]).replace("LMHeadModel", "").replace("ForCausalLM", "")
    if values["model_type"] == "gemma3_text":
        family = "Gemma3Text"
    values |= {
        "architectures": [family.removesuffix(_SUFFIX) + _SUFFIX],
        "num_labels": len(head.labels),
        "id2label": {str(index): label for index, label in enumerate(head.labels)},
        "label2id": {label: index for index, label in enumerate(head.labels)},
        "problem_type": "single_label_classification" if len(head.labels) > 1 else "regression",
        "pad_token_id": pad_token_id,
    }
    try:
        _add_tensor(folder, head.weight.detach())
        _write_json(folder / "config.json", values)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}; free some space") from None


def has_score_head(source: str | Path) -> bool:
    """Whether a model is a classifier or a reward model; False for GGUF files, which have no such head."""
    return Path(source).is_dir() and NAME in SafetensorsFolder(Path(source)).tensors


def load_score_head(folder: str | Path) -> ScoreHead:
    """The scores' matrix of a folder, in the dtype that it is stored in; the model is loaded as any other.

    Raises:
        ModelFormatError: there is none, or it is damaged.
    """
    folder = Path(folder)
    stored = SafetensorsFolder(folder)
    if NAME not in stored.tensors:
        raise ModelFormatError(f"{folder} holds no classifier or reward model: its weights have no {NAME!r}; train one")
    weight = stored.tensor(NAME)
    if weight.dim() != 2 or not weight.is_floating_point():
        raise ModelFormatError(
            f"{folder}: {NAME!r} is of {weight.dtype} and shape {list(weight.shape)}; fetch it again"
        )
    names = read_json_object(folder / "config.json").get("id2label") or {}
    return ScoreHead(weight, tuple(str(names.get(str(index), f"LABEL_{index}")) for index in range(len(weight))))


def pad_id_for(ends: Iterable[int], candidates: Iterable[int | None]) -> int:
    """A token to fill batches with: ``transformers`` scores the last token that is another one.

    Args:
        ends: tokens by which a scored text may end; none of them will do.
        candidates: what is preferred, in order.
    """
    taken = set(ends)
    wanted = [token for token in candidates if token is not None and token not in taken]
    return wanted[0] if wanted else next(token for token in range(len(taken) + 1) if token not in taken)


def _add_tensor(folder: Path, weight: Tensor) -> None:
    """One more shard, and the index that names all of them."""
    if (folder / SINGLE_FILE).is_file():
        first = "model-00001-of-00002.safetensors"
        weight_map = dict.fromkeys(read_header(folder / SINGLE_FILE), first)
        os.rename(folder / SINGLE_FILE, folder / first)
    else:
        weight_map = read_json_object(folder / INDEX_FILE)["weight_map"]
    number = len(set(weight_map.values()) - {weight_map.get(NAME)}) + 1
    shard = f"model-{number:05d}-of-{number:05d}.safetensors"
    write_safetensors(folder / shard, {NAME: (weight.dtype, tuple(weight.shape))}, [weight])
    sizes = sum((folder / file).stat().st_size for file in {*weight_map.values(), shard})
    _write_json(folder / INDEX_FILE, {"metadata": {"total_size": sizes}, "weight_map": weight_map | {NAME: shard}})


def _write_json(path: Path, values: dict[str, object]) -> None:
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
