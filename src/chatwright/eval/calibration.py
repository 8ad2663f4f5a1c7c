"""Whether a model that is 80 % sure is right in 80 of 100 cases.

Shape legend: N questions, K choices (padded to the most that a question has).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chatwright.eval.intervals import Figure, bootstrap, mean

BINS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers given with a confidence between ``low`` (excluded) and ``high``.

    Attributes:
        low, high: bounds of the confidence.
        count: how many answers.
        confidence: their mean confidence; 0 without any.
        accuracy: which part of them is right; 0 without any.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "low": self.low,
            "high": self.high,
            "count": self.count,
            "confidence": self.confidence,
            "accuracy": self.accuracy,
        }


def probabilities(log_likelihoods: Sequence[Sequence[float]]) -> list[Floats]:
    """Each question's choices as probabilities that add up to 1 (a softmax over their summed log-likelihoods)."""
    result = []
    for row in log_likelihoods:
        weights = np.exp(np.asarray(row) - max(row))
        result.append(weights / weights.sum())
    return result


def reliability(confidence_N: Floats, right_N: Floats) -> list[Bin]:
    """The answers in bins of equal width by confidence.

    Args:
        confidence_N: probability of the choice taken, float64 [N].
        right_N: 1.0 where it is the right one, else 0.0.
    """
    count, confidence, right = _sums(_place(confidence_N), confidence_N, right_N)
    size = np.maximum(count, 1)
    return [
        Bin(i / BINS, (i + 1) / BINS, int(count[i]), float(confidence[i] / size[i]), float(right[i] / size[i]))
        for i in range(BINS)
    ]


def expected_calibration_error(confidence_N: Floats, right_N: Floats, *, seed: int) -> Figure:
    """Mean distance between confidence and accuracy over the bins, weighted by their size.

    Source:
        Naeini et al. 2015, AAAI 29; Guo et al. 2017, arXiv 1706.04599, eq. 3.
    """

    place_N = _place(confidence_N)

    def statistic(index: np.ndarray) -> float:
        _, confidence, right = _sums(place_N[index], confidence_N[index], right_N[index])
        return float(np.abs(confidence - right).sum() / len(index))

    return bootstrap(len(confidence_N), statistic, seed=seed)


def brier_score(probabilities_NK: list[Floats], answers: list[int], *, seed: int) -> Figure:
    """Mean squared distance between the probabilities and the truth: 0 is perfect, 2 is certain and wrong.

    Source:
        Brier 1950, Monthly Weather Review 78 (1), 1–3 (his sum over all classes).
    """
    values = []
    for row_K, answer in zip(probabilities_NK, answers, strict=True):
        truth_K = np.zeros(len(row_K))
        truth_K[answer] = 1.0
        values.append(float(((row_K - truth_K) ** 2).sum()))
    return mean(values, seed=seed)


def _place(confidence_N: Floats) -> NDArray[np.int64]:
    """The bin of each confidence."""
    return np.clip(np.ceil(confidence_N * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _sums(place_N: NDArray[np.int64], confidence_N: Floats, right_N: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each bin: how many answers, the sum of their confidences, and how many are right."""
    count = np.bincount(place_N, minlength=BINS).astype(np.float64)
    confidence = np.bincount(place_N, weights=confidence_N, minlength=BINS)
    return (
        count,
        confidence.astype(np.float64),
        np.bincount(place_N, weights=right_N, minlength=BINS).astype(np.float64),
    )
