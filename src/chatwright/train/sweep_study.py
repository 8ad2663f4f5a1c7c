"""The Optuna study behind a sweep: what proposes, what stops, and what was found."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatwright.train.sweep_folder import STUDY_FILE
from chatwright.train.sweep_result import Direction, Outcome, Pruner, State, SweepSettings
from chatwright.train.sweep_space import Axis, number_of_choices, plain

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial


def open_study(settings: SweepSettings, axes: Sequence[Axis], folder: Path, seed: int, direction: Direction) -> "Study":
    """The study in a sweep's folder; a new one where there is none.

    Args:
        settings, axes: of the sweep.
        folder: that it lies in.
        seed: of the proposals.
        direction: "minimize" or "maximize".
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / STUDY_FILE).absolute()}")
    study = optuna.create_study(storage=storage, study_name="sweep", direction=direction, load_if_exists=True)
    # After a resume the same seed would propose the same again.
    study.sampler = optuna.samplers.TPESampler(
        seed=seed + len(study.get_trials(deepcopy=False)),
        n_startup_trials=max(4, min(10, settings.trials // 3)),
        multivariate=True,
    )
    study.pruner = _pruner(settings.pruner)
    combinations = number_of_choices(axes)
    if combinations is not None and combinations <= settings.trials:
        _enqueue_all(study, axes)
    return study


def _enqueue_all(study: "Study", axes: Sequence[Axis]) -> None:
    """Every combination once, in place of proposals. What is there already is not added again."""
    for values in itertools.product(*(axis.choices for axis in axes)):
        study.enqueue_trial({axis.key: value for axis, value in zip(axes, values, strict=True)}, skip_if_exists=True)


def _pruner(name: Pruner) -> "BasePruner":
    """Stops are at percents of a stage: none before a fifth of it."""
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if name == "median":
        return MedianPruner(n_startup_trials=4, n_warmup_steps=20)
    if name == "hyperband":
        return HyperbandPruner(min_resource=10, max_resource=100, reduction_factor=3)
    return NopPruner()


def outcome_of(trial: "FrozenTrial") -> Outcome:
    """What became of a trial that is over."""
    from optuna.trial import TrialState

    states: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
    points = tuple(sorted(trial.intermediate_values.items()))
    state = states.get(trial.state, "failed")
    value = trial.value if state == "complete" else points[-1][1] if points and state == "pruned" else None
    values = {key: plain(value) if isinstance(value, str) else value for key, value in trial.params.items()}
    seconds, error = trial.user_attrs.get("seconds", 0.0), trial.user_attrs.get("error")
    return Outcome(trial.number, state, value, values, seconds, error, points)


def importance_of(study: "Study") -> dict[str, float]:
    """Of each key, by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255); a few trials say nothing about it."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < 10 or len({trial.value for trial in complete}) < 2:
        return {}
    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
