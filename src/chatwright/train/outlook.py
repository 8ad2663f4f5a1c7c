"""What a run will take, before it begins: from the recipe and the sizes of its files, without reading the data."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from chatwright.data.builtin import PREFIX, builtin_rows
from chatwright.data.finding import find_files, hub_name
from chatwright.data.report import DataReport
from chatwright.data.row_texts import texts_of
from chatwright.data.rows import Text
from chatwright.data.settings import DataSettings
from chatwright.engine.build import choose_device
from chatwright.errors import ModelNotFoundError
from chatwright.eval.checking import check_tasks
from chatwright.loaded import load_tokenizer
from chatwright.model import ModelConfig, build_model, config_from_hf, count_parameters
from chatwright.model.gguf_config import gguf_config
from chatwright.model.gguf_file import open_gguf
from chatwright.model.hf_keys import read_json_object
from chatwright.model.lora import add_adapters
from chatwright.model.resolve import resolve_model
from chatwright.train.flops import ModelFlops
from chatwright.train.footprint import estimate_memory
from chatwright.train.objective import Objective
from chatwright.train.objectives import objective
from chatwright.train.precision import compute_dtype
from chatwright.train.recipe import Recipe
from chatwright.train.reporters import check_reporters
from chatwright.train.scaling import scaled
from chatwright.train.settings import StageSettings
from chatwright.train.stage_model import check_context
from chatwright.train.stage_run import rows_per_step, start_of
from chatwright.train.throughput import matmul_peak

_BYTES_PER_TOKEN = 3.6  # of English and Chinese UTF-8, in a vocabulary of some ten thousand tokens
_COMPRESSED = {".gz": 3.0, ".zst": 3.5, ".parquet": 2.5}  # how much more text than bytes there is in a file
_EFFICIENCY = 0.4  # of the machine's matrix products: between what small and large models reach
_PASS_TOKENS = 4096  # in a forward pass, for the estimate of memory


@dataclass(frozen=True, slots=True)
class StageOutlook:
    """What a stage will take; None where only the run will tell.

    Attributes:
        name, objective: of the stage.
        trainable_parameters: weights that learn.
        steps: of the optimiser.
        tokens_per_step: at most.
        tokens: over all steps, at most.
        memory_bytes: with all the weights on one device.
        seconds: on this machine, alone.
        exact: whether the steps are those of the recipe; otherwise they are guessed from the size of the data.
    """

    name: str
    objective: str
    trainable_parameters: int
    steps: int | None
    tokens_per_step: int | None
    tokens: int | None
    memory_bytes: int
    seconds: float | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a run will take.

    Attributes:
        name, folder: of the run.
        model: what the first stage starts from.
        parameters: of that model; None where it is not on this machine yet.
        stages: in order.
        notes: what else a person should know before the start.
    """

    name: str
    folder: Path
    model: str
    parameters: int | None
    stages: tuple[StageOutlook, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"folder": str(self.folder)}


def outlook(recipe: Recipe) -> Outlook:
    """Check what can be checked of a recipe in a second, and estimate what it takes.

    Raises:
        ConfigError: the recipe contradicts itself, or a library that it names is missing.
        InputError: a file that it names does not exist.
        EngineError: there is no such device.
    """
    check_reporters(recipe.report_to)
    check_tasks(recipe.evaluation.tasks)
    device = choose_device(recipe.device)
    notes: list[str] = _without_effect(recipe)
    sizes = {key: _num_bytes(settings, notes) for key, settings in recipe.data.items()}
    config = shape_of(recipe, notes)
    stages = () if config is None else tuple(_stage(recipe, name, config, device, sizes) for name in recipe.stages)
    return Outlook(
        recipe.name,
        recipe.folder,
        recipe.model.label,
        None if config is None else count_parameters(config),
        stages,
        tuple(notes),
    )


def _without_effect(recipe: Recipe) -> list[str]:
    """What of the evaluation nobody will see, as the last stage's result does not chat."""
    last = list(recipe.stages)[-1]
    wishes = recipe.evaluation
    given = [key for key, value in (("tasks", wishes.tasks), ("samples", wishes.samples)) if value]
    if not given or objective(recipe.objective_of(last)).chats:
        return []
    keys = " and ".join(f"evaluation.{key}" for key in given)
    return [
        f"the final evaluation leaves out {keys}: stage {last}, the last, makes a model that does not chat; "
        "measure it with `chatwright eval`"
    ]


def _stage(
    recipe: Recipe, name: str, config: ModelConfig, device: torch.device, sizes: dict[str, int | None]
) -> StageOutlook:
    settings = recipe.stage_settings(name)
    kind = objective(recipe.objective_of(name))
    size = sizes[recipe.data_key(name)]
    if recipe.model.from_scratch and Text in kind.rows and start_of(recipe, name) is None:
        settings = scaled(settings, config, None if size is None else round(size / _BYTES_PER_TOKEN))
    check_context(config, settings, name)
    rows = rows_per_step(settings, 1, name)
    own_batches = kind.feed is not Objective.feed
    per_step = None if own_batches else rows * settings.max_length
    steps = settings.max_steps
    if steps is None and per_step is not None and size is not None:
        steps = max(1, math.ceil(settings.num_train_epochs * size / _BYTES_PER_TOKEN / per_step))
    tokens = None if steps is None or per_step is None else steps * per_step
    trainable = _trainable(config, settings)
    dtype = compute_dtype(settings.bf16, device)
    memory = estimate_memory(
        config,
        itemsize=dtype.itemsize,
        optimizer=settings.optimizer,
        trainable=trainable,
        mean=settings.ema_decay is not None,
        recompute=settings.gradient_checkpointing,
        reference=count_parameters(config) if kind.keeps_reference(settings) else 0,
        samples=kind.samples,
    )
    return StageOutlook(
        name=name,
        objective=recipe.objective_of(name),
        trainable_parameters=trainable,
        steps=steps,
        tokens_per_step=per_step,
        tokens=tokens,
        memory_bytes=memory.total(_pass_tokens(settings, per_step)),
        seconds=None if tokens is None else _seconds(config, settings, kind, trainable, tokens, device, dtype),
        exact=recipe.stage_settings(name).max_steps is not None,
    )


def _pass_tokens(settings: StageSettings, per_step: int | None) -> int:
    """Tokens of a forward pass."""
    if settings.per_device_train_batch_size != "auto":
        return settings.per_device_train_batch_size * settings.max_length
    return max(min(per_step or _PASS_TOKENS, _PASS_TOKENS), settings.max_length)


def _trainable(config: ModelConfig, settings: StageSettings) -> int:
    if settings.lora is None:
        return count_parameters(config)
    model = build_model(config, device="meta")
    add_adapters(model, **settings.lora.model_dump())
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _seconds(
    config: ModelConfig,
    settings: StageSettings,
    kind: type[Objective],
    trainable: int,
    tokens: int,
    device: torch.device,
    dtype: torch.dtype,
) -> float | None:
    peak = matmul_peak(device, dtype)
    if peak is None:
        return None
    flops = ModelFlops.of(config, trained_part=min(1.0, trainable / count_parameters(config)))
    length = settings.max_length if Text in kind.rows else settings.max_length // 2  # chats are mostly short
    return tokens * flops.per_token_of(length) / (peak * _EFFICIENCY)


def shape_of(recipe: Recipe, notes: list[str]) -> ModelConfig | None:
    """The shape of the model; None where it has to be fetched first."""
    model = recipe.model
    try:
        if model.from_scratch:
            assert recipe.tokenizer is not None
            wanted = recipe.tokenizer.vocab_size
            return model.config(wanted or load_tokenizer(recipe.tokenizer.from_).vocab_size)
        path = resolve_model(model.source)
    except ModelNotFoundError as error:
        if Path(model.source or "").is_absolute():
            raise
        notes.append(str(error))
        return None
    if path.is_file():
        with open_gguf(path) as file:
            return gguf_config(file)
    return config_from_hf(read_json_object(path / "config.json"), source=str(path / "config.json"))


def _num_bytes(settings: DataSettings, notes: list[str]) -> int | None:
    """About how much text there is; None where nobody knows before it is read."""
    if not isinstance(settings.path, str):
        return _sum([_num_bytes(part, notes) for part in settings.path])
    if settings.limit is not None:
        return None
    if settings.path.startswith(PREFIX):
        rows = builtin_rows(settings.path.removeprefix(PREFIX))
        return sum(len(text.encode()) for row in rows for text in texts_of(row))
    if hub_name(settings.path) is not None:
        notes.append(f"data from the hub ({settings.path}) is read as it is trained on; how much it is shows then")
        return None
    files = find_files(settings.path, split=settings.split, with_texts=True, report=DataReport())
    return round(sum(file.stat().st_size * _COMPRESSED.get(file.suffix, 1.0) for file in files))


def _sum(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
