"""From a model on disk to the runner that serves it best on this machine."""

import logging
from pathlib import Path

import torch

from chatwright.engine.cuda_runner import CudaRunner
from chatwright.engine.memory import GIB, free_bytes, kv_budget
from chatwright.engine.runner import Runner
from chatwright.engine.threads import default_threads
from chatwright.engine.torch_runner import TorchRunner
from chatwright.errors import EngineError, InvalidParameterError, UnsupportedModelError
from chatwright.model.conversion import converted
from chatwright.model.families import config_from_hf
from chatwright.model.hf_keys import read_json_object
from chatwright.model.load import load_model, parse_dtype
from chatwright.model.presets import count_parameters
from chatwright.model.resolve import resolve_model

_LOG = logging.getLogger(__name__)


def build_runner(
    model_path: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    kv_memory_bytes: int | None = None,
    max_model_len: int | None = None,
) -> Runner:
    """Load a model and make it ready to serve.

    Args:
        model_path: a model folder, a ``.gguf`` file, or a name as for :func:`chatwright.resolve_model`.
        device: "auto" (a CUDA card if there is one, then Apple's, then the CPU), "cuda", "cuda:1", "mps" or "cpu".
        dtype: "auto", "float32", "bfloat16" or "float16". "auto" is bfloat16 on cards and CPUs that compute in it; on
            a CPU it also decodes with weights in 8 bits (4 where the file has 4), which any other choice turns off.
        threads: CPU threads for the model; None leaves PyTorch's choice.
        kv_memory_bytes: memory for keys and values, which bounds how much text is in work at once; None takes a share
            of what the weights leave free.
        max_model_len: longest prompt and answer together, in tokens; None takes the model's context length.
    Raises:
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: the model cannot be loaded.
        EngineError: the device is not there, or the model does not fit into its memory.
        InvalidParameterError: an argument is out of bounds.
    """
    target = choose_device(device)
    if threads is not None:
        if threads < 1:
            raise InvalidParameterError("threads", f"threads is {threads}; it must be at least 1")
        torch.set_num_threads(threads)
    wanted = parse_dtype(choose_dtype(dtype, target))
    path = resolve_model(model_path)
    folder = path if path.is_dir() else converted(path, "bfloat16" if wanted is torch.bfloat16 else "float32")
    free = free_bytes(target)
    budget = kv_budget(target, weight_bytes(folder, wanted), free)  # before loading: a machine that swaps says nothing
    try:
        budget = budget if kv_memory_bytes is None else kv_memory_bytes
        if target.type == "cpu" and dtype == "auto":
            runner = _cpu_runner(path, folder, wanted, threads, budget, max_model_len)
            if runner is not None:
                return runner
        model = load_model(folder, dtype=wanted or "auto", device=target)
        runner_class = CudaRunner if target.type == "cuda" else TorchRunner
        return runner_class(model, kv_memory_bytes=budget, max_model_len=max_model_len)
    except (MemoryError, torch.OutOfMemoryError) as error:
        known = "" if free is None else f", of which {free / GIB:.1f} GiB were free"
        raise EngineError(
            f"{model_path} does not fit into the memory of {target}{known}; use a smaller model, dtype bfloat16, a "
            "smaller kv_memory_bytes, or another device"
        ) from error


def _cpu_runner(
    source: Path,
    folder: Path,
    dtype: torch.dtype | None,
    threads: int | None,
    kv_memory_bytes: int,
    max_model_len: int | None,
) -> Runner | None:
    """The runner with compiled kernels, or None where the model or the machine is not made for it."""
    config = config_from_hf(read_json_object(folder / "config.json"), source=str(folder / "config.json"))
    try:
        from chatwright.engine.cpu.build import build_cpu_runner
        from chatwright.engine.cpu.runner import supports
    except ImportError as error:  # Numba is not there for every platform and Python
        _LOG.warning("decoding on the CPU through PyTorch, which is slower: Numba cannot be loaded (%s)", error)
        return None
    if not supports(config):
        return None
    from numba.core.errors import NumbaError

    try:
        return build_cpu_runner(
            source,
            folder,
            dtype=dtype or torch.float32,
            threads=threads or default_threads(),
            kv_memory_bytes=kv_memory_bytes,
            max_model_len=max_model_len,
        )
    except NumbaError as error:
        _LOG.warning("decoding on the CPU through PyTorch, which is slower: Numba cannot compile (%s)", error)
        return None


def choose_device(name: str) -> torch.device:
    """The device for a name; EngineError if this machine does not have it."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InvalidParameterError("device", f"device is {name!r}; use auto, cpu, cuda, cuda:N or mps") from None
    missing = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available(), "cpu": False}
    if device.type not in missing:
        raise InvalidParameterError("device", f"device is {name!r}; use auto, cpu, cuda, cuda:N or mps")
    if missing[device.type] or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise EngineError(f"device {name!r} is not on this machine, or this PyTorch has no support for it; use cpu")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype | str:
    """The number format to compute in. "auto": what is fast on the device without loss that anybody notices."""
    if name != "auto":
        try:
            parse_dtype(name)
        except UnsupportedModelError as error:
            raise InvalidParameterError("dtype", str(error)) from None
        return name
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        # Without instructions for it, bfloat16 on a CPU is converted value by value, which is slower than float32.
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    return "auto"


def weight_bytes(folder: Path, dtype: torch.dtype | None) -> int:
    """Memory that a model's weights will take, in bytes.

    Args:
        folder: holds ``config.json``.
        dtype: of the weights in memory; None keeps the stored one, taken to have two bytes as nearly all have.
    """
    source = folder / "config.json"
    config = config_from_hf(read_json_object(source), source=str(source))
    return count_parameters(config) * (dtype.itemsize if dtype is not None else 2)
