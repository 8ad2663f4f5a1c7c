"""The learning rate's values are those of transformers' schedulers, but for the rise, which wastes no step."""

from typing import Any

import pytest
import torch
from transformers.optimization import (
    get_constant_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_linear_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
    get_wsd_schedule,
)

from chatwright.errors import ConfigError
from chatwright.train.schedule import Schedule
from chatwright.train.settings import StageSettings

PEAK = 0.5


def schedule(total: int = 50, **settings: Any) -> list[float]:
    made = Schedule.of(StageSettings(**settings), total)
    return [PEAK * made(step) for step in range(total)]


def theirs(make: Any, total: int = 50, *, num_warmup_steps: int, **options: Any) -> list[float]:
    """Their rates; the rise is that of a schedule with one more step of it, without the first, where the rate is 0."""

    def rates(warmup: int) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        scheduler = make(optimizer, num_warmup_steps=warmup, **options)
        values = []
        for _ in range(total):
            values.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        return values

    return rates(num_warmup_steps + 1)[1 : num_warmup_steps + 1] + rates(num_warmup_steps)[num_warmup_steps:]


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine(warmup: int) -> None:
    expected = theirs(
        get_cosine_with_min_lr_schedule_with_warmup,
        num_warmup_steps=warmup,
        num_training_steps=50,
        min_lr_rate=0.1,
    )
    assert schedule(lr_scheduler_type="cosine", warmup_steps=warmup, min_lr_ratio=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("warmup", [0, 7])
def test_linear(warmup: int) -> None:
    options: dict[str, Any] = {"num_warmup_steps": warmup, "num_training_steps": 50}
    expected = theirs(get_linear_schedule_with_warmup, **options)
    assert schedule(lr_scheduler_type="linear", warmup_steps=warmup, min_lr_ratio=0) == pytest.approx(expected)
    expected = theirs(get_polynomial_decay_schedule_with_warmup, **options, lr_end=0.2 * PEAK)
    assert schedule(lr_scheduler_type="linear", warmup_steps=warmup, min_lr_ratio=0.2) == pytest.approx(expected)


def test_warmup_stable_decay() -> None:
    expected = theirs(
        get_wsd_schedule,
        num_warmup_steps=5,
        num_decay_steps=10,
        num_training_steps=50,
        decay_type="1-sqrt",
        min_lr_ratio=0.1,
    )
    ours = schedule(lr_scheduler_type="wsd", warmup_ratio=0.1, decay_ratio=0.2, min_lr_ratio=0.1)
    assert ours == pytest.approx(expected)


def test_constant_and_the_ratio_of_the_warmup_is_rounded_up() -> None:
    expected = theirs(get_constant_schedule_with_warmup, num_warmup_steps=4)
    assert schedule(lr_scheduler_type="constant", warmup_ratio=0.07) == pytest.approx(expected)


def test_the_first_step_of_a_short_stage_is_not_wasted() -> None:
    assert schedule(2, lr_scheduler_type="constant", warmup_ratio=0.03) == pytest.approx([PEAK / 2, PEAK])


def test_a_stage_too_short_for_its_phases() -> None:
    with pytest.raises(ConfigError, match="do not fit into 10 steps"):
        schedule(10, lr_scheduler_type="wsd", warmup_steps=5, decay_ratio=0.8)
    assert schedule(1, lr_scheduler_type="wsd", warmup_ratio=0.03, decay_ratio=0.2, min_lr_ratio=0.1)[0] > 0
