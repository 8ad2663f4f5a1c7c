"""llama.cpp through the low-level interface of llama-cpp-python: ``llama_decode`` on batches, as its own server does.

Also makes the quantised files: ``python -m benchmarks.contenders.llama_cpp_batch SOURCE TARGET q4_0``.
"""

import ctypes
import importlib
import os
import sys
import time
from typing import Any

from benchmarks.contenders.harness import Job, Timing, run


class LlamaCpp:
    """A GGUF model in llama.cpp."""

    def __init__(self, job: Job) -> None:
        self._lib = lib = _library()
        self._np: Any = importlib.import_module("numpy")
        parameters = lib.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = job.extra_bufts
        self._model = lib.llama_model_load_from_file(job.model.encode(), parameters)
        context = lib.llama_context_default_params()
        context.n_seq_max = len(job.streams)
        context.n_ctx = len(job.streams) * -(-job.longest // 256) * 256  # divided evenly among the sequences
        context.n_batch = context.n_ctx
        context.n_threads = context.n_threads_batch = job.threads
        self._context = lib.llama_init_from_model(self._model, context)
        self._vocab_size = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model))
        self._batch = lib.llama_batch_init(context.n_batch, 0, 1)
        self.details: dict[str, Any] = {
            "version": lib.__version__,
            "use_extra_bufts": job.extra_bufts,
            "system": lib.llama_print_system_info().decode(),
        }

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        """See :class:`~benchmarks.contenders.harness.Contender`."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        started = time.perf_counter()
        tokens = [[token] for token in self._decode(prompts, [0] * len(prompts))]
        first = time.perf_counter()
        for step in range(new_tokens - 1):
            starts = [len(prompt) + step for prompt in prompts]
            for generated, token in zip(tokens, self._decode([[t[-1]] for t in tokens], starts), strict=True):
                generated.append(token)
        return Timing(first - started, time.perf_counter() - first, tokens)

    def _decode(self, pieces: list[list[int]], starts: list[int]) -> list[int]:
        """Run a piece of every sequence, beginning at its position; the most likely next token of each."""
        batch, ends = self._batch, []
        n = 0
        for sequence, (piece, start) in enumerate(zip(pieces, starts, strict=True)):
            for i, token in enumerate(piece):
                batch.token[n], batch.pos[n] = token, start + i
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, sequence
                batch.logits[n] = i == len(piece) - 1
                n += 1
            ends.append(n - 1)
        batch.n_tokens = n
        status = self._lib.llama_decode(self._context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        rows = (self._lib.llama_get_logits_ith(self._context, end) for end in ends)
        return [int(self._np.ctypeslib.as_array(row, (self._vocab_size,)).argmax()) for row in rows]


def quantize(source: str, target: str, kind: str) -> None:
    """Write ``source`` again in another quantisation, from weights that may be quantised already."""
    lib = _library()
    parameters = lib.llama_model_quantize_default_params()
    parameters.ftype = getattr(lib, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}")
    parameters.allow_requantize = True
    partial = f"{target}.partial"
    status = lib.llama_model_quantize(source.encode(), partial.encode(), ctypes.byref(parameters))
    if status != 0:
        raise RuntimeError(f"llama_model_quantize returned {status}")
    os.replace(partial, target)


def _library() -> Any:
    lib: Any = importlib.import_module("llama_cpp")
    global _silence  # llama.cpp keeps the pointer only
    _silence = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(_silence, ctypes.c_void_p(0))
    lib.llama_backend_init()
    return lib


_silence: Any = None

if __name__ == "__main__":
    if len(sys.argv) > 1:
        quantize(*sys.argv[1:])
        print("{}")
    else:
        run(LlamaCpp)
