"""From a model on disk to a :class:`CpuRunner`: quantised weights from the cache, or made and put there."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from chatwright.engine.cpu.attention_tiles import PAGE
from chatwright.engine.cpu.emit import LANES
from chatwright.engine.cpu.runner import SHORT, CpuRunner
from chatwright.engine.cpu.step import step
from chatwright.engine.cpu.weights import FORMAT, Read, cached_weights
from chatwright.engine.limits import block_bytes, blocks_within, checked_model_len
from chatwright.engine.memory import keep_freed_memory
from chatwright.engine.runner import Chunk
from chatwright.model.digest import file_sha256
from chatwright.model.gguf_file import open_gguf
from chatwright.model.gguf_tensors import GGUFWeights
from chatwright.model.gpt import GPT
from chatwright.model.load import load_model
from chatwright.paths import cache_dir


def build_cpu_runner(
    source: Path,
    folder: Path,
    *,
    dtype: torch.dtype,
    threads: int,
    kv_memory_bytes: int,
    max_model_len: int | None,
) -> CpuRunner:
    """Load a model for the CPU.

    Args:
        source: the model folder or ``.gguf`` that was asked for; the quantised weights are made from it.
        folder: the model as a Hugging Face folder: ``source`` itself, or its conversion.
        dtype: bfloat16 or float32, for prompts.
        threads: threads of the decoder.
        kv_memory_bytes, max_model_len: see ``build_runner``.
    Raises:
        InvalidParameterError: one of these is out of bounds.
    """
    keep_freed_memory()
    model = load_model(folder, dtype=dtype)
    max_model_len = checked_model_len(model.config, max_model_len)
    blocks_within(kv_memory_bytes, block_bytes(model.config, PAGE, 2, head_multiple=LANES))  # refuses too little
    weights = cached_weights(
        model.config,
        _lazy(lambda: _reader(source, folder, model)),
        cache_dir() / "packed" / f"v{FORMAT}" / _digest(source),
    )
    runner = CpuRunner(model, weights, kv_memory_bytes=kv_memory_bytes, max_model_len=max_model_len, threads=threads)
    runner.run([Chunk([0], 0, [0], 1)])  # compiles the kernels, or says here and now that this machine cannot
    if step.stats.cache_misses:  # the very first start: what prompts need is not compiled in somebody's answer
        runner.run([Chunk([0] * min(SHORT + 1, runner.max_model_len), 0, [0], 1)])
    return runner


def _lazy(make: Callable[[], Read]) -> Read:
    """A reader that opens its source at the first weight: a warm start never does."""
    opened: list[Read] = []

    def read(name: str) -> np.ndarray:
        if not opened:
            opened.append(make())
        return opened[0](name)

    return read


def _reader(source: Path, folder: Path, model: GPT) -> Read:
    """Weights by name in float32, from where they have most digits."""
    if source.is_file():
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        return GGUFWeights(open_gguf(source), model.config, shapes).read
    stored = load_model(folder, dtype="auto").state_dict()
    return lambda name: stored[name].float().numpy()


def _digest(source: Path) -> str:
    """What identifies a model's content: the digest of its file, or of its description and weights."""
    if source.is_file():
        return file_sha256(source)
    files = sorted([source / "config.json", *source.glob("*.safetensors")])
    joined = "\n".join(f"{path.name} {file_sha256(path)}" for path in files)
    return hashlib.sha256(joined.encode()).hexdigest()
