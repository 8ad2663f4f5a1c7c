"""A stage, ready to run, and what became of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.feed import Feed
from chatwright.train.objective import Objective
from chatwright.train.settings import StageSettings


@dataclass(frozen=True, slots=True)
class Stage:
    """What :func:`chatwright.train.loop.run_stage` runs.

    Attributes:
        name: the stage's name within its recipe.
        settings: the objective's own.
        model: on its device, adapters in place; the parameters to be trained require gradients. Afterwards it holds
            the result in float32 (what was frozen stays in the dtype of computation).
        objective: its ``prepare`` is called by the loop, with the batches of ``feed.epoch_batches()``, and again with
            ``held_out``.
        feed: batches by ``stage_step``, from 0.
        total_steps: optimiser steps of the stage.
        first_step: steps of the run before this stage: ``step = first_step + stage_step``.
        seed: of dropout and whatever else is random in the stage.
        evaluate: figures on held-out data by the model as it is; lower ``eval_loss`` is better. None: no evaluation.
            Called in eval mode, with the running mean of the weights in place where there is one. It may draw random
            numbers without disturbing the training.
        held_out: batches that ``evaluate`` shows to the objective.
        save_extra: adds the tokenizer and the like to a folder with a model.
        save_model: writes the weights into a folder, for what :func:`chatwright.model.save_model` cannot write
            (adapters); None: that function. Called while the model holds the float32 weights.
    """

    name: str
    settings: StageSettings
    model: GPT
    objective: Objective
    feed: Feed
    total_steps: int
    first_step: int = 0
    seed: int = 0
    evaluate: Callable[[], dict[str, float]] | None = None
    held_out: Sequence[Batch] = ()
    save_extra: Callable[[Path], None] | None = None
    save_model: Callable[[Path], None] | None = None


@dataclass(frozen=True, slots=True)
class StageResult:
    """What became of a stage.

    Attributes:
        steps: optimiser steps the stage has taken, those before a resume included.
        loss: mean over the last steps that were recorded; None if none was taken.
        best_eval_loss: lowest ``eval_loss``; None without evaluation.
        figures: of the last evaluation.
        stopped_early: whether evaluation no longer improved. With ``early_stopping_patience`` the model is that of the
            best evaluation, whether stopped early or not.
        skipped_steps: how many steps the guard refused.
        tokens: tokens learned from, padding not counted.
        seconds: of training, evaluation and saving not counted.
        tokens_per_s: while training.
        mfu: model FLOPs utilisation, of the machine's measured peak; None where that is not known.
        peak_memory_bytes: of this process on its device.
    """

    steps: int
    loss: float | None
    best_eval_loss: float | None
    figures: Mapping[str, float] = field(default_factory=dict)
    stopped_early: bool = False
    skipped_steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    mfu: float | None = None
    peak_memory_bytes: int = 0
