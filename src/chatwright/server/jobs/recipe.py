"""From what a person asks for, and what the data turns out to be, to a recipe for ``chatwright train``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatwright.server.jobs.folder import JobFolder
from chatwright.server.jobs.rows import Method

# Peak learning rates of adapters, as in the recipes that come with Chatwright.
_RATES: Final[Mapping[Method, float]] = {"supervised": 2e-4, "dpo": 5e-6}
_EPOCHS: Final[Mapping[Method, int]] = {"supervised": 3, "dpo": 1}
_BETA: Final = 0.1
_LENGTH_STEP: Final = 64


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of training data.

    Attributes:
        examples: lines that can be learned from.
        tokens: in all of them.
        longest: tokens of the longest sequence.
        questions: some of those in it, which the model is asked as it learns.
    """

    examples: int
    tokens: int
    longest: int
    questions: tuple[str, ...] = ()


def decided(method: Method, wanted: Mapping[str, Any], data: Measured) -> dict[str, Any]:
    """The hyperparameters with numbers in place of "auto"."""
    usual: dict[str, Any] = {
        "n_epochs": _EPOCHS[method],
        "batch_size": min(max(data.examples // 32, 4), 32),
        "learning_rate_multiplier": 1.0,
    }
    if method == "dpo":
        usual["beta"] = _BETA
    return {name: usual[name] if wanted.get(name, "auto") == "auto" else wanted[name] for name in usual}


def make_recipe(
    folder: JobFolder,
    method: Method,
    hyperparameters: Mapping[str, Any],
    data: Measured,
    *,
    name: str,
    base: str,
    context_length: int,
    seed: int,
    device: str,
) -> dict[str, Any]:
    """The recipe of a job.

    Args:
        folder: where its data lies and its run goes.
        method: decides the stage.
        hyperparameters: see :func:`decided`.
        data: that is learned from.
        name: of the run.
        base: folder or file of the model.
        context_length: of the model, in tokens.
        seed: of order and adapters.
        device: as recipes say it.
    """
    stage = "sft" if method == "supervised" else "dpo"
    length = min(-(-data.longest // _LENGTH_STEP) * _LENGTH_STEP, context_length)
    # A step takes packed rows of ``length`` tokens, of pairs for each of the two; this many hold, on average, the
    # examples that were asked for.
    row_tokens = length * (2 if method == "dpo" else 1)
    rows = max(round(hyperparameters["batch_size"] * data.tokens / data.examples / row_tokens), 1)
    steps = math.ceil(hyperparameters["n_epochs"] * data.tokens / (rows * row_tokens))
    settings: dict[str, Any] = {
        "data": "training",
        "lora": {"r": 16, "lora_alpha": 32},
        "max_length": length,
        "num_train_epochs": hyperparameters["n_epochs"],
        "train_batch_size": rows,
        "learning_rate": _RATES[method] * hyperparameters["learning_rate_multiplier"],
        "warmup_ratio": 0.05,
        "logging_steps": min(max(steps // 100, 1), 10),
        # Adapters are small, so that saving them often costs little; a killed process loses no more than this.
        "save_steps": min(max(steps // 20, 1), 50),
    }
    sources: dict[str, Any] = {"training": {"path": str(folder.training), "validation_fraction": 0}}
    if folder.validation.is_file():
        settings["eval_data"] = "validation"
        sources["validation"] = {"path": str(folder.validation)}
    if method == "dpo":
        settings["beta"] = hyperparameters["beta"]
    return {
        "name": name,
        "seed": seed,
        "model": {"from": base},
        "data": sources,
        "stages": {stage: settings},
        "evaluation": {"samples": list(data.questions)},
        "device": device,
    }
