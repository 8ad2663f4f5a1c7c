"""A figure and how far chance may have moved it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

RESAMPLES = 1000
_Z95 = 1.959963984540054  # the normal distribution's 97.5 % point


@dataclass(frozen=True, slots=True)
class Figure:
    """A number measured on a sample, with its 95 % confidence interval.

    Attributes:
        value: as measured.
        low, high: the interval.
        interval: how it was made: "wilson" for shares of right answers, "bootstrap" for everything else, "normal" where
            another program gave a standard error.
    """

    value: float
    low: float
    high: float
    interval: Literal["wilson", "bootstrap", "normal"]

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return {"value": self.value, "low": self.low, "high": self.high, "interval": self.interval}


def share(right: Sequence[float]) -> Figure:
    """Which part of the answers is right, with Wilson's interval, which stays within 0 and 1.

    Args:
        right: 1.0 or 0.0 for each answer; at least one.
    Source:
        Wilson 1927, Journal of the American Statistical Association 22 (158), 209–212.
    """
    n, p = len(right), sum(right) / len(right)
    middle = p + _Z95**2 / (2 * n)
    half = _Z95 * math.sqrt(p * (1 - p) / n + _Z95**2 / (4 * n * n))
    scale = 1 + _Z95**2 / n
    # At the ends the interval touches 0 or 1, but for rounding.
    return Figure(p, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale), "wilson")


def mean(values: Sequence[float], *, seed: int) -> Figure:
    """The mean of per-answer values, with a bootstrap interval."""
    values_N = np.asarray(values, dtype=np.float64)
    return bootstrap(len(values_N), lambda index: float(values_N[index].mean()), seed=seed)


def normal(value: float, standard_error: float) -> Figure:
    """A figure whose standard error is known."""
    return Figure(value, value - _Z95 * standard_error, value + _Z95 * standard_error, "normal")


def bootstrap(size: int, statistic: Callable[[np.ndarray], float], *, seed: int) -> Figure:
    """A statistic of a sample, with its percentile interval over resamples.

    Args:
        size: of the sample; at least 1.
        statistic: from indices into the sample, int64 [size], to the figure.
        seed: the same seed gives the same interval.
    Source:
        Efron 1979, Annals of Statistics 7 (1), 1–26.
    """
    generator = np.random.default_rng(seed)
    value = statistic(np.arange(size))
    drawn = [statistic(generator.integers(0, size, size)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Figure(value, float(low), float(high), "bootstrap")
