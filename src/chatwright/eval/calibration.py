"""Whether a model that is 80 % sure is right in 80 of 100 cases.

Shape legend: N questions, K choices (padded to the most that a question has).
"""

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


def probabilities(log_likelihoods: list[list[float]]) -> list[Floats]:
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
    place = np.clip(np.ceil(confidence_N * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for index in range(BINS):
        here = place == index
        count = int(here.sum())
        confidence = float(confidence_N[here].mean()) if count else 0.0
        accuracy = float(right_N[here].mean()) if count else 0.0
        bins.append(Bin(index / BINS, (index + 1) / BINS, count, confidence, accuracy))
    return bins


def expected_calibration_error(confidence_N: Floats, right_N: Floats, *, seed: int) -> Figure:
    """Mean distance between confidence and accuracy over the bins, weighted by their size.

    Source:
        Naeini et al. 2015, AAAI 29; Guo et al. 2017, arXiv 1706.04599, eq. 3.
    """

    def statistic(index: np.ndarray) -> float:
        bins = reliability(confidence_N[index], right_N[index])
        return sum(bin_.count * abs(bin_.confidence - bin_.accuracy) for bin_ in bins) / len(index)

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
