"""Chatwright as a user gets it: the default runner of this machine behind the engine."""

import time
from importlib.metadata import version
from typing import Any

from benchmarks.contenders.harness import Job, Timing, run


class Chatwright:
    """The engine, driven through its public door."""

    def __init__(self, job: Job) -> None:
        from chatwright import LoadedModel, SamplingParams

        self._model = LoadedModel.open(job.model, threads=job.threads)
        self._params = SamplingParams(temperature=0, ignore_eos=True)
        self._calls = 0
        runner = self._model.engine._runner
        weights = getattr(runner, "_weights", None)  # the packed ones; runners without a decoder of their own have none
        self.details: dict[str, Any] = {
            "version": version("chatwright"),
            "torch": version("torch"),
            "runner": type(runner).__name__,
            "weight_bytes": int(weights.data.nbytes) if weights is not None else None,
        }

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        """See :class:`~benchmarks.contenders.harness.Contender`."""
        self._calls += 1  # an owner of its own each time: nothing is taken from the prefix cache
        params = self._params.replace(max_tokens=new_tokens)
        started = time.perf_counter()
        owner = str(self._calls)
        streams = [iter(self._model.engine.submit(prompt, params, owner=owner)) for prompt in prompts]
        tokens = [list(next(stream).token_ids) for stream in streams]
        first = time.perf_counter()
        for stream, generated in zip(streams, tokens, strict=True):
            for delta in stream:
                generated.extend(delta.token_ids)
        return Timing(first - started, time.perf_counter() - first, tokens)


if __name__ == "__main__":
    run(Chatwright)
