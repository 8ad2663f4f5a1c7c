"""What every contender in training does, and how it is timed. Needs the standard library alone.

A contender's process reads one JSON object (:class:`TrainingJob`) from stdin and ends with one JSON object on stdout.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contenders.harness import peak_mb

# The shape that is trained from nothing: about 14 million weights, 4,096 tokens a step.
VOCAB, HIDDEN, LAYERS, HEADS, INNER = 8192, 384, 6, 6, 1024
ROWS, LENGTH = 8, 512


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What to run.

    Attributes:
        task: "pretrain" (from nothing, random ids), "sft" or "dpo" (adapters on a model, texts from ``data``).
        variant: what the contender calls its settings.
        threads: processor threads.
        steps: that are timed; two more come before them.
        model: folder of the model that is tuned.
        data: JSON lines with ``messages``, or ``prompt``, ``chosen``, ``rejected``.
        rank: of the adapters, on all linear layers.
        batch: sequences (or pairs) in a step, of up to ``LENGTH`` tokens.
    """

    task: str
    variant: str
    threads: int
    steps: int
    model: str = ""
    data: str = ""
    rank: int = 16
    batch: int = 8


WARM_STEPS = 2


@dataclass(slots=True)
class Clock:
    """Steps, the tokens each of them learned from (padding not counted), and when each ended."""

    tokens: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def step(self, tokens: int) -> None:
        """A step has ended."""
        self.tokens.append(tokens)
        self.times.append(time.perf_counter())

    def rates(self) -> list[float]:
        """Tokens a second of each step after the first ones."""
        seconds = [after - before for before, after in zip(self.times, self.times[1:], strict=False)]
        return [t / s for t, s in zip(self.tokens[WARM_STEPS:], seconds[WARM_STEPS - 1 :], strict=True)]

    @property
    def rate(self) -> float:
        """Tokens a second over all steps after the first ones."""
        return sum(self.tokens[WARM_STEPS:]) / (self.times[-1] - self.times[WARM_STEPS - 1])


def run(train: Callable[[TrainingJob, Clock], dict[str, Any]]) -> None:
    """The whole life of a contender's process; ``train`` returns what a reader needs to judge its figures."""
    job = TrainingJob(**json.load(sys.stdin))
    clock = Clock()
    try:
        details = train(job, clock)
    except ImportError as error:
        print(json.dumps({"error": f"{error.name} is not installed for {sys.executable}"}))
        return
    result = {
        "tokens_per_s": clock.rate,
        "rates": clock.rates(),
        "rss_mb": peak_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
        "details": details,
    }
    print(json.dumps(result))
