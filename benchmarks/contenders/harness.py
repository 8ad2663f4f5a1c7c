"""What every contender does: load a model, generate greedily, and be timed in the same way.

A contender's process reads one JSON object (:class:`Job`) from stdin and ends with one JSON object on stdout. It may
run under another interpreter than the benchmark, so this module needs the standard library alone.
"""

import json
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

_WARM_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Job:
    """What to run.

    Attributes:
        model: path of the model in the contender's format.
        threads: processor threads.
        repeats: how often each figure is measured in this process.
        prompt: token ids of the one long prompt.
        new_tokens: tokens to generate after it, beyond the first.
        streams: prompts that are answered together.
        stream_new_tokens: tokens to generate after each of them, beyond the first.
        question: a short prompt for the start of the process.
        first_token_only: load, generate one token after ``question``, say so on stdout, and end.
        extra_bufts: for llama.cpp, whether weights may be repacked for the processor's special instructions.
    """

    model: str
    threads: int
    repeats: int
    prompt: list[int]
    new_tokens: int
    streams: list[list[int]]
    stream_new_tokens: int
    question: list[int]
    first_token_only: bool = False
    extra_bufts: bool = True

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(len(self.prompt) + self.new_tokens, *(len(s) + self.stream_new_tokens for s in self.streams)) + 1


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a generation took.

    Attributes:
        first_s: until every prompt had its first token, seconds.
        rest_s: from then to the last token of all, seconds.
        tokens: what was generated, one list per prompt.
    """

    first_s: float
    rest_s: float
    tokens: list[list[int]]


class Contender(Protocol):
    """A loaded model.

    Attributes:
        details: what a reader needs to judge its figures: versions, settings.
    """

    details: dict[str, Any]

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        """Continue all prompts together by the most likely tokens, ``new_tokens`` each, never ending early."""
        ...


def measure(contender: Contender, job: Job) -> dict[str, Any]:
    """Every speed of a contender, in tokens per second, one value per repeat, and its peak memory in MB."""
    contender.generate([job.prompt], _WARM_TOKENS)
    contender.generate(job.streams, _WARM_TOKENS)
    speeds: dict[str, list[float]] = {"prefill": [], "decode": [], "eight_streams": [], "eight_streams_total": []}
    for _ in range(job.repeats):
        one = contender.generate([job.prompt], job.new_tokens + 1)
        speeds["prefill"].append(len(job.prompt) / one.first_s)
        speeds["decode"].append(job.new_tokens / one.rest_s)
        many = contender.generate(job.streams, job.stream_new_tokens + 1)
        tokens = len(job.streams) * job.stream_new_tokens
        speeds["eight_streams"].append(tokens / many.rest_s)
        speeds["eight_streams_total"].append((tokens + len(job.streams)) / (many.first_s + many.rest_s))
        _check(one, 1, job.new_tokens + 1)
        _check(many, len(job.streams), job.stream_new_tokens + 1)
    return {
        "speeds": speeds,
        "rss_mb": peak_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
        "details": {**contender.details, "python": platform.python_version(), "begins_with": one.tokens[0][:16]},
    }


def peak_mb(maxrss: int) -> float:
    """``ru_maxrss`` in MB; macOS counts it in bytes, others in KiB."""
    return maxrss / 1e6 if sys.platform == "darwin" else maxrss * 1024 / 1e6


def run(load: Callable[[Job], Contender]) -> None:
    """The whole life of a contender's process."""
    job = Job(**json.load(sys.stdin))
    try:
        contender = load(job)
    except ImportError as error:
        print(json.dumps({"error": f"{error.name} is not installed for {sys.executable}"}))
        return
    if job.first_token_only:
        contender.generate([job.question], 1)
        print("first token", flush=True)
        return
    print(json.dumps(measure(contender, job)))


def _check(timing: Timing, prompts: int, new_tokens: int) -> None:
    """A contender that stops early would look fast."""
    lengths = [len(tokens) for tokens in timing.tokens]
    if lengths != [new_tokens] * prompts:
        raise RuntimeError(f"generated {lengths} tokens instead of {new_tokens} for each of {prompts} prompts")
