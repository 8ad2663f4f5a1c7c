"""Feed-forward layers: dense, gated, and mixtures of experts.

Shape legend: ``...`` any leading dimensions, N tokens, C hidden width, I inner width, E experts, K experts per token.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.model.config import FeedForward as FeedForwardKind
from chatwright.model.config import ModelConfig, MoEConfig


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


_ACTIVATIONS: dict[FeedForwardKind, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "swiglu": F.silu,
    "geglu": _gelu_tanh,
}


class FeedForward(nn.Module):
    """Dense feed-forward layer; gated kinds multiply the activated gate by a second projection.

    Source:
        Shazeer 2020, arXiv 2002.05202, eq. 6 (swiglu, geglu).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = _ACTIVATIONS[config.feed_forward]
        self.gate_proj: nn.Linear | None = None
        if config.gated:
            self.gate_proj = nn.Linear(config.hidden_size, config.mlp_size, bias=config.mlp_bias)
        self.up_proj = nn.Linear(config.hidden_size, config.mlp_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(config.mlp_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., C] to [..., C]."""
        if self.gate_proj is None:
            inner = self.activation(self.up_proj(x))
        else:
            inner = self.activation(self.gate_proj(x)) * self.up_proj(x)
        y: Tensor = self.down_proj(inner)
        return y


class MixtureOfExperts(nn.Module):
    """Gated feed-forward experts; a router picks K of E for each token and weighs them.

    The experts' matrices are stacked: ``gate_up_proj`` [E, 2I, C] holds an expert's gate rows above its up rows,
    ``down_proj`` is [E, C, I]. Tokens are grouped by expert, so the sizes depend on the data: this layer
    synchronises with an accelerator once per call and cannot be captured in a CUDA graph.

    Source:
        Fedus et al. 2021, arXiv 2101.03961; probabilities are taken before the choice of the top K, as in Qwen3-MoE.
    """

    def __init__(self, config: ModelConfig, moe: MoEConfig) -> None:
        super().__init__()
        self.num_experts_per_token = moe.num_experts_per_token
        self.normalize_weights = moe.normalize_weights
        self.activation = _ACTIVATIONS[config.feed_forward]
        self.router = nn.Linear(config.hidden_size, moe.num_experts, bias=False)
        shape = (moe.num_experts, 2 * moe.intermediate_size, config.hidden_size)
        self.gate_up_proj = nn.Parameter(torch.empty(shape))
        self.down_proj = nn.Parameter(torch.empty(moe.num_experts, config.hidden_size, moe.intermediate_size))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., C] to [..., C]."""
        x_NC = x.reshape(-1, x.shape[-1])
        weight_NK, expert_NK = self.route(x_NC)
        y_NC = torch.zeros_like(x_NC)
        order = expert_NK.flatten().argsort(stable=True)  # pairs (token, choice) grouped by expert
        token = order // self.num_experts_per_token
        counts = torch.bincount(expert_NK.flatten(), minlength=self.gate_up_proj.shape[0]).tolist()
        start = 0
        for expert, count in enumerate(counts):
            if count == 0:
                continue
            pairs, tokens = order[start : start + count], token[start : start + count]
            gate, up = F.linear(x_NC[tokens], self.gate_up_proj[expert]).chunk(2, dim=-1)
            out = F.linear(self.activation(gate) * up, self.down_proj[expert])
            y_NC = y_NC.index_add(0, tokens, out * weight_NK.flatten()[pairs, None])
            start += count
        return y_NC.view_as(x)

    def route(self, x_NC: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [N, K] in the dtype of ``x`` and expert indices [N, K] of each token."""
        probabilities_NE = self.router(x_NC).softmax(dim=-1, dtype=torch.float32)
        weight_NK, expert_NK = probabilities_NE.topk(self.num_experts_per_token, dim=-1)
        if self.normalize_weights:
            weight_NK = weight_NK / weight_NK.sum(dim=-1, keepdim=True)
        return weight_NK.to(x_NC.dtype), expert_NK


def make_feed_forward(config: ModelConfig, layer: int) -> nn.Module:
    """The feed-forward of ``layer``: experts where the config says so, else dense."""
    if config.moe is not None and config.is_moe(layer):
        return MixtureOfExperts(config, config.moe)
    return FeedForward(config)
