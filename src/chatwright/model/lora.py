"""Low-rank adapters: small trainable matrices beside the frozen projections of the layers.

An adapted projection keeps its weight under its old name, so the base model's state dict is a part of the adapted
one's, and an adapter is what is left over.

Shape legend: N tokens, I inputs, O outputs, R rank; ``...`` any leading dimensions.

Source:
    Hu et al. 2021, arXiv 2106.09685 (LoRA); Liu et al. 2024, arXiv 2402.09353 (DoRA); Kalajdzievski 2023,
    arXiv 2312.03732 (rsLoRA).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from chatwright.errors import ConfigError
from chatwright.model.feed_forward import MixtureOfExperts
from chatwright.model.gpt import GPT

_LOG = logging.getLogger(__name__)


class LoRALinear(nn.Linear):
    """``W x + b`` with a frozen W, plus ``scaling * B A x``; with DoRA the whole, but for b, rescaled by output.

    Args:
        base: its weight and bias are taken over, not copied.
        lora_A: [R, I].
        lora_B: [O, R].
        magnitude: DoRA's length of each output's weights, [O]; None for plain LoRA.
        scaling: of the update.
        dropout: probability at the adapter's input, in training. The frozen product never sees it; in peft a DoRA
            adapter's learned rescaling of that product does, which adds noise to what is not being trained.

    Attributes:
        enabled: False makes it the base projection.
    """

    def __init__(
        self,
        base: nn.Linear,
        lora_A: Tensor,
        lora_B: Tensor,
        magnitude: Tensor | None = None,
        *,
        scaling: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.lora_A, self.lora_B = nn.Parameter(lora_A), nn.Parameter(lora_B)
        self.magnitude = None if magnitude is None else nn.Parameter(magnitude)
        self.scaling = scaling
        self.dropout = dropout
        self.enabled = True
        self.train(base.training)

    @property
    def rank(self) -> int:
        """R."""
        return self.lora_A.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., I] to [..., O], in the dtype of ``x``."""
        if not self.enabled:
            return F.linear(x, self.weight, self.bias)
        if self.magnitude is None:
            return self._adapted(x, self.bias)
        y = self._adapted(x, None) * (self.magnitude.float() / self.weight_norm()).to(x.dtype)
        bias: Tensor | None = self.bias
        return y if bias is None else y + bias

    def _adapted(self, x: Tensor, bias: Tensor | None) -> Tensor:
        if self.training and self.dropout:
            inner = F.linear(F.dropout(x, self.dropout), self.lora_A.to(x.dtype))
            update = F.linear(inner, self.lora_B.to(x.dtype))
            return torch.add(F.linear(x, self.weight, bias), update, alpha=self.scaling)
        y: Tensor = _AdaptedLinear.apply(x, self.weight, bias, self.lora_A, self.lora_B, self.scaling)  # type: ignore[no-untyped-call]
        return y

    @torch.no_grad()
    def weight_norm(self) -> Tensor:
        """Length of each row of ``W + scaling * B A``, float32 [O]; a constant to the gradient (DoRA, section 4.3).

        The rows themselves are never made: |w + u|² = |w|² + 2 w·u + |u|², and u = B A has few columns.
        """
        a, b = self.lora_A.float(), self.lora_B.float()
        square = torch.linalg.vector_norm(self.weight, dim=1, dtype=torch.float32).square()
        cross = (self.weight @ self.lora_A.to(self.weight.dtype).T).float()
        square += 2 * self.scaling * (cross * b).sum(dim=1)
        square += self.scaling**2 * (b @ (a @ a.T) * b).sum(dim=1)
        norm: Tensor = square.clamp_(min=0).sqrt_()
        return norm

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain projection that computes the same, its weight computed in float32 and rounded once."""
        weight = torch.addmm(self.weight.float(), self.lora_B.float(), self.lora_A.float(), alpha=self.scaling)
        if self.magnitude is not None:
            weight *= (self.magnitude.float() / torch.linalg.vector_norm(weight, dim=1))[:, None]
        linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        linear.weight = nn.Parameter(weight.to(self.weight.dtype), requires_grad=False)
        linear.bias = self.bias
        return linear.train(self.training)

    def extra_repr(self) -> str:
        """What ``print(model)`` shows between the brackets."""
        kind = "lora" if self.magnitude is None else "dora"
        return f"{super().extra_repr()}, {kind}={self.rank}, scaling={self.scaling:g}"


def add_adapters(
    model: GPT,
    *,
    r: int = 16,
    lora_alpha: float = 32.0,
    lora_dropout: float = 0.0,
    target_modules: Sequence[str] | Literal["all-linear"] = "all-linear",
    use_dora: bool = False,
    use_rslora: bool = False,
    seed: int = 0,
) -> None:
    """Freeze the model and put adapters, in float32, beside its projections. At first they change nothing.

    Args:
        model: changed in place.
        r: rank.
        lora_alpha: the update is scaled by ``lora_alpha / r``.
        lora_dropout: probability at the adapters' inputs.
        target_modules: last parts of names ("q_proj") or whole ones ("layers.0.attn.q_proj").
        use_dora: also learn each output's magnitude.
        use_rslora: scale by ``lora_alpha / sqrt(r)``.
        seed: of A, which is uniform within ±1/sqrt(I); B is 0.
    Raises:
        ConfigError: a target does not exist, or the model has adapters already.
    """
    if has_adapters(model):
        raise ConfigError("the model has adapters already; merge them before adding others")
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    scaling = lora_alpha / (r**0.5 if use_rslora else r)
    for path, base in _targets(model, target_modules).items():
        bound = base.in_features**-0.5
        lora_a = torch.empty(r, base.in_features).uniform_(-bound, bound, generator=generator)
        device = base.weight.device
        magnitude = torch.linalg.vector_norm(base.weight.detach(), dim=1, dtype=torch.float32) if use_dora else None
        adapted = LoRALinear(
            base,
            lora_a.to(device),
            torch.zeros(base.out_features, r, device=device),
            magnitude,
            scaling=scaling,
            dropout=lora_dropout,
        )
        replace_module(model, path, adapted)


def merge_adapters(model: GPT) -> None:
    """Put what the adapters learned into the weights and remove them; in place. Merging rounds to the weights' dtype.

    The model then asks for no gradients; without adapters nothing changes.
    """
    for path, module in adapted_modules(model).items():
        replace_module(model, path, module.merged())


@contextmanager
def disabled_adapters(model: GPT) -> Iterator[None]:
    """Within the block the model is the one that it was before the adapters: a reference that costs no memory."""
    modules = adapted_modules(model).values()
    before = [module.enabled for module in modules]
    for module in modules:
        module.enabled = False
    try:
        yield
    finally:
        for module, enabled in zip(modules, before, strict=True):
            module.enabled = enabled


def adapted_modules(model: GPT) -> dict[str, LoRALinear]:
    """The adapted projections by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def has_adapters(model: GPT) -> bool:
    """Whether any projection is adapted."""
    return bool(adapted_modules(model))


def replace_module(model: GPT, path: str, module: nn.Module) -> None:
    """Put ``module`` in the place of the one named ``path``."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def adaptable_modules(model: GPT) -> dict[str, nn.Linear]:
    """The projections that can be adapted, by name: those of the layers, but not the routers and stacked experts."""
    routers = {f"{name}.router" for name, module in model.named_modules() if isinstance(module, MixtureOfExperts)}
    linears = (item for item in model.named_modules() if isinstance(item[1], nn.Linear))
    return {name: module for name, module in linears if name.startswith("layers.") and name not in routers}


def _targets(model: GPT, wanted: Sequence[str] | Literal["all-linear"]) -> dict[str, nn.Linear]:
    available = adaptable_modules(model)
    if wanted == "all-linear":
        if model.config.moe is not None:
            _LOG.warning("adapters are for attention only in layers with experts: their matrices are stacked")
        return available
    kinds = sorted({name.rpartition(".")[2] for name in available})
    for target in wanted:
        if not any(_matches(name, target) for name in available):
            raise ConfigError(
                f"target_modules names {target!r}, but this model has no such projection; it has {', '.join(kinds)}"
            )
    return {name: module for name, module in available.items() if any(_matches(name, target) for target in wanted)}


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


class _AdaptedLinear(Function):
    """``x W' + b + scaling (x A') B'``, with the update added in place.

    Written as separate operations the update costs two more passes over memory as large as the output: measured on a
    CPU in bfloat16, 2 ms where the base product takes 0.5. W is frozen: no gradient is made for it.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scaling: float
    ) -> Tensor:
        assert not weight_OI.requires_grad  # it would silently stay without a gradient
        x_NI = x.reshape(-1, x.shape[-1])
        inner_NR = x_NI @ a_RI.to(x.dtype).T
        y_NO = F.linear(x_NI, weight_OI, bias_O).addmm_(inner_NR, b_OR.to(x.dtype).T, alpha=scaling)
        ctx.save_for_backward(x_NI, weight_OI, a_RI, b_OR, inner_NR)
        ctx.scaling = scaling
        return y_NO.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor | None, Tensor | None, None]:
        x_NI, weight_OI, a_RI, b_OR, inner_NR = ctx.saved_tensors
        grad_NO = grad.reshape(-1, grad.shape[-1])
        grad_inner_NR = grad_NO @ b_OR.to(grad.dtype)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (grad_NO @ weight_OI).addmm_(grad_inner_NR, a_RI.to(grad.dtype), alpha=ctx.scaling)
            grad_x = grad_x.view(*grad.shape[:-1], -1)
        grad_a = grad_b = None
        if ctx.needs_input_grad[3]:
            grad_a = (grad_inner_NR.T @ x_NI).to(a_RI.dtype).mul_(ctx.scaling)
        if ctx.needs_input_grad[4]:
            grad_b = (inner_NR.T @ grad_NO).T.to(b_OR.dtype) * ctx.scaling
        return grad_x, None, None, grad_a, grad_b, None
