"""transformers in bfloat16: its model, its cache, and the shortest loop around them, which ``generate`` only slows."""

import importlib
import time
from typing import Any

from benchmarks.contenders.harness import Job, Timing, run


class Transformers:
    """A causal model of the transformers library."""

    def __init__(self, job: Job) -> None:
        self._torch: Any = importlib.import_module("torch")
        transformers: Any = importlib.import_module("transformers")
        self._torch.set_num_threads(job.threads)
        load = transformers.AutoModelForCausalLM.from_pretrained
        self._model = load(job.model, dtype=self._torch.bfloat16).eval()
        self.details: dict[str, Any] = {"version": transformers.__version__, "torch": self._torch.__version__}

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        """See :class:`~benchmarks.contenders.harness.Contender`; the prompts are equally long."""
        with self._torch.inference_mode():
            started = time.perf_counter()
            output = self._model(self._torch.tensor(prompts), use_cache=True, logits_to_keep=1)
            columns = [output.logits[:, -1].argmax(-1)]
            first = time.perf_counter()
            for _ in range(new_tokens - 1):
                output = self._model(
                    columns[-1][:, None], past_key_values=output.past_key_values, use_cache=True, logits_to_keep=1
                )
                columns.append(output.logits[:, -1].argmax(-1))
            tokens: list[list[int]] = self._torch.stack(columns, 1).tolist()
            return Timing(first - started, time.perf_counter() - first, tokens)


if __name__ == "__main__":
    run(Transformers)
