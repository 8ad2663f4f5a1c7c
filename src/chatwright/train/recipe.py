"""What a recipe can say, and reading one: a YAML file that takes a run from raw text to a tuned assistant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_serializer, model_validator

from chatwright.data.settings import DataSettings
from chatwright.errors import ConfigError
from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.presets import PRESETS, preset
from chatwright.train.explain import checked, nearest
from chatwright.train.recipe_source import read_values
from chatwright.train.scaling import config_of_depth
from chatwright.train.settings import GrowSettings, Settings, StageSettings

Reporter = Literal["tensorboard", "wandb", "swanlab"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHAPE_FIELDS = {field.name for field in fields(ModelConfig)}


class ModelSettings(Settings):
    """Where the weights come from: random ones of a shape, or those of a model.

    In YAML a plain string does for ``from`` (a folder, a ``.gguf`` file, a catalogue or hub name) and for ``preset``.
    Any other key is a field of the shape (:class:`~chatwright.model.ModelConfig`) and overrides it.
    """

    preset: str | None = Field(None, description="a known shape, with random weights")
    depth: int | None = Field(None, ge=1, le=128, description="the one dial: layers; width and heads follow")
    from_: str | None = Field(None, alias="from", description="a model: folder, .gguf file, catalogue or hub name")
    adapter: str | None = Field(None, description="folder of a LoRA adapter (peft) that is merged into the model")
    grow: GrowSettings | None = Field(None, description="changes of a trained model's shape")
    shape: Mapping[str, Any] = Field(default_factory=dict, description="fields of the shape to change")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        if isinstance(values, str):
            values = {"from": values}
        if not isinstance(values, Mapping):
            raise ValueError("model must be a name, or a mapping with preset, depth or from")
        values = dict(values)
        if values.get("from") in PRESETS and not _is_model(values["from"]):
            values["preset"] = values.pop("from")
        shape = dict(values.pop("shape", {}))
        for key in set(values) - {"preset", "depth", "from", "adapter", "grow"}:
            if key not in _SHAPE_FIELDS:
                known = [*_SHAPE_FIELDS, "preset", "depth", "from", "adapter", "grow"]
                raise ValueError(f"unknown key {key} (= {values[key]!r}); {nearest(key, known)}")
            shape[key] = values.pop(key)
        return {**values, "shape": shape}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("preset", "depth", "from_") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given).replace('_', '')} exclude each other; give one of them")
        if not given and self.adapter is None and not {"hidden_size", "num_layers", "num_heads"} <= set(self.shape):
            raise ValueError("give preset, depth, from, or a shape (hidden_size, num_layers and num_heads)")
        if self.adapter is not None and (self.preset or self.depth):
            raise ValueError("an adapter belongs to a trained model; give `from` beside it, or nothing")
        if self.grow is not None and self.from_scratch:
            raise ValueError("grow changes a trained model, and this one is new; give `from`, or the shape you want")
        return self

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        """As it is written in a recipe."""
        grow = None if self.grow is None else self.grow.model_dump(mode="json", exclude_defaults=True)
        given = {"preset": self.preset, "depth": self.depth, "from": self.from_, "adapter": self.adapter, "grow": grow}
        return {key: value for key, value in given.items() if value is not None} | dict(self.shape)

    @property
    def from_scratch(self) -> bool:
        """Whether the weights are random."""
        return self.from_ is None and self.adapter is None

    @property
    def source(self) -> str | None:
        """The model that has the weights: ``from``, or else what the adapter says that it belongs to.

        Raises:
            ConfigError: the adapter does not say it.
            ModelNotFoundError, UnsupportedModelError: there is no such adapter, or it is of a kind that we do not run.
        """
        if self.from_ is not None or self.adapter is None:
            return self.from_
        from chatwright.model.adapters import read_adapter_config

        base = read_adapter_config(self.adapter).get("base_model_name_or_path")
        if not base:
            raise ConfigError(f"{self.adapter} does not say which model it adapts; add `from` beside it")
        return str(base)

    @property
    def label(self) -> str:
        """What a person calls it."""
        depth = None if self.depth is None else f"depth {self.depth}"
        return self.preset or depth or self.from_ or self.adapter or "a shape of its own"

    def config(self, vocab_size: int) -> ModelConfig:
        """The shape of a model with random weights.

        Raises:
            ConfigError: there is no such preset, or the shape contradicts itself.
        """
        changes = {"vocab_size": vocab_size, **_parsed_shape(self.shape)}
        if self.preset is not None:
            return preset(self.preset, **_refitted(PRESETS[self.preset].config, changes))
        if self.depth is not None:
            base = config_of_depth(self.depth, vocab_size)
            return base.replace(**_refitted(base, changes))
        return ModelConfig(**changes)

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"no preset is called {name!r}; {nearest(name, PRESETS)}")
        return name


class TokenizerSource(Settings):
    """Where the vocabulary comes from. In YAML a plain string does for ``from``."""

    from_: str | None = Field(None, alias="from", description="a model or folder whose tokenizer is taken")
    vocab_size: int | None = Field(None, ge=259, description="train one of so many tokens")
    data: tuple[str, ...] = Field((), description="keys of `data` to train it on; default: every stage's")
    min_frequency: int = Field(2, ge=1, description="how often two pieces must occur together to become one")
    max_chars: int = Field(200_000_000, ge=1, description="characters of text to learn it from, over all data")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        if isinstance(values, str):
            return {"from": values}
        if isinstance(values, Mapping) and isinstance(values.get("data"), str):
            return {**values, "data": [values["data"]]}
        return values

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.from_ is None) == (self.vocab_size is None):
            raise ValueError("tokenizer needs either `from` (take one) or `vocab_size` (train one)")
        if self.from_ is not None and (extra := self.model_fields_set - {"from_"}):
            raise ValueError(f"{extra.pop()} has no effect on a tokenizer that is taken `from` elsewhere; remove it")
        return self


class EvaluationSettings(Settings):
    """What is measured beside the loss."""

    tasks: tuple[str, ...] = Field((), description="built-in tasks or task files")
    limit: int | None = Field(None, ge=1, description="examples of each task in the final evaluation")
    eval_limit: int = Field(50, ge=1, description="examples of each task at an evaluation step")
    during: bool = Field(True, description="also measure the tasks at the evaluation steps of stages that chat")
    samples: tuple[str, ...] = Field((), description="questions that are answered at each evaluation step")
    sample_tokens: int = Field(64, ge=1, description="longest answer")
    max_batches: int = Field(50, ge=1, description="micro-batches of held-out data at an evaluation step")


class Recipe(Settings):
    """A whole run.

    Stages are kept as plain values, since what a stage can say depends on its objective;
    :meth:`stage_settings` checks and completes one.
    """

    name: str = Field("", description="of the run; by default the file's")
    seed: int = Field(0, ge=0, lt=2**31, description="decides weights, order and samples")
    output: str | None = Field(None, description="the run's folder; by default runs/NAME")
    model: ModelSettings = Field(description="where the weights come from")
    tokenizer: TokenizerSource | None = Field(None, description="by default the model's own")
    chat_template: str | None = Field(None, description="a Jinja file; by default the tokenizer's own, else ChatML")
    data: Mapping[str, DataSettings] = Field(default_factory=dict, description="what is learned from, by name")
    stages: Mapping[str, Mapping[str, Any]] = Field(description="settings of each stage, by name, in order")
    evaluation: EvaluationSettings = Field(
        default_factory=lambda: EvaluationSettings.model_validate({}), description="what is measured beside the loss"
    )
    report_to: tuple[Reporter, ...] = Field((), description="who else is told how it goes")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …")

    @field_validator("name", mode="after")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if name and not _SAFE_NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} becomes a folder; use letters, digits, dots, dashes and underscores")
        return name

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_is_enough(cls, value: Any) -> Any:
        if value in ("none", None):
            return ()
        return (value,) if isinstance(value, str) else value

    @field_validator("stages", mode="before")
    @classmethod
    def _stages_are_mappings(cls, stages: Any) -> Any:
        if not isinstance(stages, Mapping) or not stages:
            raise ValueError("give at least one stage, such as `sft: {data: chats}`")
        for name, values in stages.items():
            if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name):
                raise ValueError(f"a stage's name becomes a folder, and {name!r} cannot; use letters and digits")
            if values is not None and not isinstance(values, Mapping):
                raise ValueError(f"stage {name} is {values!r}; it must be a mapping of settings, or empty")
        return {name: dict(values or {}) for name, values in stages.items()}

    @property
    def folder(self) -> Path:
        """Where the run goes."""
        return Path(self.output).expanduser() if self.output else Path("runs") / self.name

    @cached_property
    def _settings(self) -> dict[str, StageSettings]:
        return {name: self._checked_stage(name) for name in self.stages}

    def stage_settings(self, name: str) -> StageSettings:
        """The settings of a stage: what the recipe says over the objective's defaults.

        Raises:
            ConfigError: no such objective, or a key or value that it does not know.
        """
        return self._settings[name]

    def objective_of(self, name: str) -> str:
        """The name of a stage's objective."""
        return str(self.stages[name].get("objective") or name)

    def data_key(self, name: str) -> str:
        """The key of ``data`` that a stage learns from."""
        return self.stage_settings(name).data or name

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain values, every setting of the stages written out; reading it gives an equal recipe."""
        values = {"name": self.name, "seed": self.seed}
        values |= self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        values["stages"] = {
            name: {
                **self.stage_settings(name).model_dump(mode="json", by_alias=True),
                "objective": self.objective_of(name),
            }
            for name in self.stages
        }
        return values

    def _checked_stage(self, name: str) -> StageSettings:
        from chatwright.train.objectives import objective

        try:
            kind = objective(self.objective_of(name))
        except ConfigError as error:
            raise ConfigError(f"{self.name}: stages.{name}: {error}") from None
        return checked(kind.Settings, dict(self.stages[name]), where=self.name, key=f"stages.{name}")


def load_recipe(path: str | Path, overrides: Sequence[str] = (), *, name: str | None = None) -> Recipe:
    """Read and check a recipe, its stages included.

    Args:
        path: of the YAML file. Paths inside it are relative to the current folder, like those of the command line.
        overrides: ``dotted.key=value``, the value as YAML; they win over the file.
        name: wins over the file's.

    Raises:
        ConfigError: the file, a key or a value is wrong; one sentence that names it and what is allowed.
    """
    path = Path(path)
    values = read_values(path, overrides)
    values["name"] = name or values.get("name") or path.stem
    recipe = checked(Recipe, values, where=str(path))
    for stage in recipe.stages:
        recipe.stage_settings(stage)
    _check_references(recipe, str(path))
    return recipe


def _check_references(recipe: Recipe, where: str) -> None:
    """Names inside the recipe that point to other parts of it."""
    for stage in recipe.stages:
        settings = recipe.stage_settings(stage)
        wanted = {f"stages.{stage}.data": recipe.data_key(stage)}
        if settings.eval_data is not None:
            wanted[f"stages.{stage}.eval_data"] = settings.eval_data
        for key, target in wanted.items():
            if target not in recipe.data:
                raise ConfigError(
                    f"{where}: stage {stage} learns from data.{target}, which the recipe does not have; add it, or "
                    f"name another in {key} ({nearest(target, recipe.data)})"
                )
        _check_start(recipe, stage, where)
    if recipe.tokenizer is not None:
        for target in recipe.tokenizer.data:
            if target not in recipe.data:
                raise ConfigError(f"{where}: tokenizer.data names {target!r}; {nearest(target, recipe.data)}")
    if recipe.tokenizer is None and recipe.model.from_scratch:
        raise ConfigError(
            f"{where}: a model with random weights has no tokenizer of its own; add `tokenizer: {{vocab_size: 8192}}` "
            "to train one, or `tokenizer: default` to take the embedded model's"
        )


def _check_start(recipe: Recipe, stage: str, where: str) -> None:
    start = recipe.stage_settings(stage).start_from
    names = list(recipe.stages)
    if start is not None and start not in names[: names.index(stage)]:
        earlier = ", ".join(names[: names.index(stage)]) or "there is none"
        raise ConfigError(f"{where}: stages.{stage}.start_from is {start!r}; it must be a stage before it ({earlier})")


def _is_model(name: str) -> bool:
    """Whether a name that is also a preset's belongs to a model with weights."""
    from chatwright.model.catalog import find_entry

    return find_entry(name) is not None or Path(name).exists()


def _parsed_shape(shape: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the shape as :class:`ModelConfig` wants them: nested mappings as objects, lists as tuples."""
    kinds = {"rope": RopeConfig, "rope_local": RopeConfig, "moe": MoEConfig}
    parsed: dict[str, Any] = {}
    for key, value in shape.items():
        if key in kinds and isinstance(value, Mapping):
            try:
                parsed[key] = kinds[key](**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})
            except TypeError as error:
                raise ConfigError(f"model.{key}: {str(error).split('__init__() ')[-1]}") from None
        else:
            parsed[key] = tuple(value) if isinstance(value, list) else value
    return parsed


def _refitted(base: ModelConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, and what has to be derived anew because of them."""
    anew: dict[str, Any] = {}
    if "num_layers" in changes and set(base.layer_types) == {"full"}:
        anew["layer_types"] = ()
    if {"hidden_size", "num_heads"} & set(changes):
        anew["head_dim"] = None
    if "hidden_size" in changes:
        anew["intermediate_size"] = None
    if "num_heads" in changes:
        anew["num_kv_heads"] = None
    return anew | changes
