"""Computing in bfloat16 on weights that are kept in float32.

An update of a thousandth of a weight is lost in bfloat16's 8 bits, so the optimiser works on float32 *masters*; the
modules hold a bfloat16 copy of them, made anew after each step.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from chatwright.errors import ConfigError
from chatwright.train.dtensors import local

Rounding = Callable[[str, Tensor], Tensor]
"""Name and float32 value of a parameter → what the passes compute with in its place; by rows, of which there may be
only a process' own."""


def compute_dtype(bf16: bool | Literal["auto"], device: torch.device) -> torch.dtype:
    """The dtype to compute in: bfloat16 where asked for, or with "auto" where the hardware multiplies in it.

    Raises:
        ConfigError: bfloat16 is asked for, and the device does not have it.
    """
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    else:
        has = False
    if bf16 is True and not has:
        raise ConfigError(f"bf16 is true, but {device} does not compute in bfloat16; set bf16: auto or false")
    return torch.bfloat16 if bf16 and has else torch.float32


class MasterWeights:
    """The trainable parameters of some modules in float32, whatever dtype the modules compute in.

    Args:
        modules: by name; the names prefix those of the parameters ("model.layers.0 …").
        compute_dtype: the modules' floating-point parameters and buffers are cast to it, in place. float32 makes the
            modules' own parameters the masters: no copy, and every method below does nothing.
        rounding: the modules hold what it makes of the masters; then there is a copy in float32 too.

    Attributes:
        parameters: name → float32 parameter, for the optimiser. Only those that require a gradient.
    """

    def __init__(
        self, modules: dict[str, nn.Module], compute_dtype: torch.dtype, *, rounding: Rounding | None = None
    ) -> None:
        self._rounding = rounding
        self.parameters: dict[str, nn.Parameter] = {}
        self._working: dict[str, nn.Parameter] = {}
        for prefix, module in modules.items():
            for name, parameter in module.named_parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.to(compute_dtype)
                elif compute_dtype == torch.float32 and rounding is None:
                    parameter.data = parameter.data.float()
                    self.parameters[f"{prefix}.{name}"] = parameter
                else:
                    self.parameters[f"{prefix}.{name}"] = nn.Parameter(parameter.data.float())
                    self._working[f"{prefix}.{name}"] = parameter
                    parameter.data = parameter.data.to(compute_dtype, copy=True)
        if rounding is not None:
            self.publish()

    @torch.no_grad()
    def collect(self) -> None:
        """Add the modules' gradients to the masters' and clear them; call after each backward pass."""
        for name, working in self._working.items():
            if working.grad is None:
                continue
            master = self.parameters[name]
            if master.grad is None:
                master.grad = working.grad.float()
            else:
                master.grad += working.grad
            working.grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Copy the masters into the modules; call after each optimiser step."""
        for name, working in self._working.items():
            master = local(self.parameters[name])
            local(working).copy_(master if self._rounding is None else self._rounding(name, master))

    def gathered(self) -> Mapping[str, Tensor]:
        """The masters, as one process can write them. Not copies."""
        return self.parameters

    def whole(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors that go with the masters, as one process can write them. Not copies."""
        return tensors

    @contextmanager
    def exported(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Within the block the modules hold the float32 ``weights`` of :meth:`gathered`: for saving without loss."""
        lowered: dict[str, Tensor] = {}
        for name, working in self._working.items():
            lowered[name] = working.data
            working.data = weights[name].data
        try:
            yield
        finally:
            for name, working in self._working.items():
                working.data = lowered[name]

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the float32 masters in the modules for good, without gradients."""
        for name, working in self._working.items():
            working.data = self.parameters[name].data
            working.grad = None
        for master in self.parameters.values():
            master.grad = None
        self._working = {}
