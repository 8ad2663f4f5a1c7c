"""What training can run on: peak operations, memory and bandwidth, as the vendors' data sheets give them.

Only dense products count; where a data sheet gives the figure "with sparsity", it is halved here. Prices are no data:
they are what an hour of one device typically costs to rent in 2025, and a plan says that it assumes them.
"""

from dataclasses import dataclass

from chatwright.errors import EngineError, InvalidParameterError
from chatwright.train.explain import nearest


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device.

    Attributes:
        name: as a person gives it.
        title: of the product.
        bf16_flops: dense bfloat16 operations a second, summed in float32.
        memory_bytes: of the device; vendors' gigabytes are counted as 10⁹.
        bandwidth: of that memory, bytes a second; None where nobody says.
        price_per_hour: assumed, in US dollars; None where nothing is typical.
        itemsize: bytes of the numbers that are computed with.
        overhead_bytes: taken by the process itself, whatever it trains.
        usable: part of the memory that can be planned with; the rest is for the driver and the allocator's gaps.
        source: of the figures.
    """

    name: str
    title: str
    bf16_flops: float
    memory_bytes: int
    bandwidth: float | None
    price_per_hour: float | None
    source: str
    itemsize: int = 2
    overhead_bytes: int = 0
    usable: float = 0.9


def find_accelerator(name: str) -> Accelerator:
    """The accelerator of a name; ``cpu`` is this machine's, whose speed is measured.

    Raises:
        InvalidParameterError: it is none that we know.
    """
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = key.removeprefix("nvidia-").removeprefix("amd-").removeprefix("geforce-").removeprefix("rtx-")
    if key == "cpu":
        return _this_cpu()
    if key not in ACCELERATORS:
        raise InvalidParameterError("gpu", f"no device is called {name!r}; {nearest(key, [*ACCELERATORS, 'cpu'])}")
    return ACCELERATORS[key]


def _this_cpu() -> Accelerator:
    import torch

    from chatwright.engine.memory import free_bytes
    from chatwright.train.precision import compute_dtype
    from chatwright.train.throughput import matmul_peak

    device = torch.device("cpu")
    dtype = compute_dtype("auto", device)
    peak, free = matmul_peak(device, dtype), free_bytes(device)
    assert peak is not None  # a CPU can always be measured
    if free is None:
        raise EngineError("this system does not say how much memory is free; plan for another --gpu")
    return Accelerator(
        name="cpu",
        title=f"this machine's CPU, {torch.get_num_threads()} threads, {str(dtype).removeprefix('torch.')}",
        bf16_flops=peak,
        memory_bytes=free,
        bandwidth=None,
        price_per_hour=None,
        source="measured; its memory is what is free now",
        itemsize=dtype.itemsize,
        # Interpreter and libraries, and what the allocator keeps: runs of 4M, 25M and 135M weights peaked at 646, 1,272
        # and 3,149 MB; the estimate is 72, 709 and 2,133 MB.
        overhead_bytes=550_000_000,
        usable=0.83,
    )


def _nvidia(name: str, title: str, tflops: float, gigabytes: int, bandwidth: float, price: float | None) -> Accelerator:
    source = f"NVIDIA, {title} data sheet"
    return Accelerator(name, title, tflops * 1e12, gigabytes * 10**9, bandwidth * 1e9, price, source)


def _amd(name: str, title: str, tflops: float, gigabytes: int, bandwidth: float, price: float | None) -> Accelerator:
    source = f"AMD, {title} data sheet"
    return Accelerator(name, title, tflops * 1e12, gigabytes * 10**9, bandwidth * 1e9, price, source)


ACCELERATORS: dict[str, Accelerator] = {
    entry.name: entry
    for entry in (
        # Name, product, dense bf16 TFLOP/s, GB, GB/s, dollars an hour.
        _nvidia("h100", "H100 SXM", 989.4, 80, 3350, 2.5),
        _nvidia("h100-pcie", "H100 PCIe", 756.0, 80, 2000, 2.0),
        _nvidia("h200", "H200 SXM", 989.4, 141, 4800, 3.5),
        _nvidia("b200", "B200 SXM", 2250.0, 180, 7700, 5.0),
        _nvidia("h800", "H800 SXM", 989.4, 80, 3350, None),
        _nvidia("h20", "H20", 148.0, 96, 4000, None),
        _nvidia("a100", "A100 80GB SXM", 312.0, 80, 2039, 1.5),
        _nvidia("a100-40gb", "A100 40GB SXM", 312.0, 40, 1555, 1.2),
        _nvidia("a800", "A800 80GB SXM", 312.0, 80, 2039, None),
        _nvidia("l40s", "L40S", 362.0, 48, 864, 1.0),
        _nvidia("l4", "L4", 121.0, 24, 300, 0.6),
        _nvidia("a10", "A10", 125.0, 24, 600, 0.7),
        _nvidia("a6000", "RTX A6000", 154.8, 48, 768, 0.6),
        _nvidia("5090", "GeForce RTX 5090", 209.5, 32, 1792, 0.7),
        _nvidia("4090", "GeForce RTX 4090", 165.2, 24, 1008, 0.4),
        _nvidia("3090", "GeForce RTX 3090", 71.0, 24, 936, 0.25),
        _amd("mi300x", "Instinct MI300X", 1307.4, 192, 5300, 2.5),
        _amd("mi250x", "Instinct MI250X", 383.0, 128, 3277, None),
    )
}
