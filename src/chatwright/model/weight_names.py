"""How each family of checkpoints names and lays out its weights, as rules that work in both directions.

Shape legend: C hidden width, I inner width, E experts.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

Convert = Callable[[Sequence[Tensor]], list[Tensor]]


@dataclass(frozen=True, slots=True)
class WeightRule:
    """A group of our tensors and the checkpoint's tensors that hold the same numbers.

    Attributes:
        ours: names in our state dict.
        theirs: names in the checkpoint.
        to_ours: checkpoint tensors (in the order of ``theirs``) to ours (in the order of ``ours``).
        to_theirs: the inverse. Both also work on meta tensors, which tells the shapes to expect.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    to_ours: Convert
    to_theirs: Convert


@dataclass(frozen=True, slots=True)
class NameTable:
    """Names of one family.

    Attributes:
        base: prefix of everything but the head; files saved from the bare model lack it.
        top: our module → theirs, outside the layers.
        layers: name of their list of layers.
        parts: our module → theirs, inside a layer.
        conv1d: matrices of attention and feed-forward are stored transposed, q/k/v fused (GPT-1, GPT-2).
        ignored: patterns of stored tensors that hold no weights (causal masks, rotary frequencies).
    """

    base: str
    top: Mapping[str, str]
    layers: str
    parts: Mapping[str, str]
    conv1d: bool = False
    ignored: tuple[str, ...] = field(default=())

    def ignores(self, name: str) -> bool:
        """Whether a stored tensor may be left unread."""
        return any(re.search(pattern, name) for pattern in self.ignored)


LLAMA_NAMES = NameTable(
    base="model",
    top={"embed": "embed_tokens", "norm": "norm"},
    layers="layers",
    parts={
        "attn_norm": "input_layernorm",
        "attn": "self_attn",
        "mlp_norm": "post_attention_layernorm",
        "mlp.router": "mlp.gate",
        "mlp": "mlp",
    },
    ignored=(r"\.rotary_emb\.inv_freq$",),
)
GEMMA_NAMES = NameTable(
    base="model",
    top=LLAMA_NAMES.top,
    layers="layers",
    parts={
        "attn_norm": "input_layernorm",
        "attn": "self_attn",
        "attn_post_norm": "post_attention_layernorm",
        "mlp_norm": "pre_feedforward_layernorm",
        "mlp": "mlp",
        "mlp_post_norm": "post_feedforward_layernorm",
    },
    ignored=LLAMA_NAMES.ignored,
)
_GPT_PARTS = {
    "attn_norm": "ln_1",
    "attn.o_proj": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up_proj": "mlp.c_fc",
    "mlp.down_proj": "mlp.c_proj",
}
GPT2_NAMES = NameTable(
    base="transformer",
    top={"embed": "wte", "position_embed": "wpe", "norm": "ln_f"},
    layers="h",
    parts=_GPT_PARTS,
    conv1d=True,
    ignored=(r"\bh\.\d+\.attn\.(masked_)?bias$",),
)
GPT1_NAMES = NameTable(
    base="transformer",
    top={"embed": "tokens_embed", "position_embed": "positions_embed"},
    layers="h",
    parts=_GPT_PARTS,
    conv1d=True,
    ignored=(r"\bh\.\d+\.attn\.bias$", r"\bposition_ids$"),
)

_LAYER = re.compile(r"layers\.(\d+)\.(.+)")


def weight_rules(table: NameTable | None, names: Iterable[str], *, num_experts: int = 0) -> list[WeightRule]:
    """The rules that together cover our state dict.

    Args:
        table: the family's names; None for our own format, where every tensor keeps its name.
        names: names in our state dict.
        num_experts: experts in a layer of a mixture.
    """
    if table is None:
        return [WeightRule((name,), (name,), list, list) for name in names]
    rules = []
    for name in names:
        if table.conv1d and re.search(r"\.attn\.[kv]_proj\.", name):
            continue  # the rule of q_proj covers them
        rules.append(_rule(table, name, num_experts))
    return rules


def _rule(table: NameTable, name: str, num_experts: int) -> WeightRule:
    if name == "head.weight":
        return WeightRule((name,), ("lm_head.weight",), list, list)
    match = _LAYER.fullmatch(name)
    if match is None:
        module, _, leaf = name.rpartition(".")
        return WeightRule((name,), (f"{table.base}.{table.top[module]}.{leaf}",), list, list)
    layer, inside = f"{table.base}.{table.layers}.{match[1]}", match[2]
    if table.conv1d:
        return _conv1d_rule(table, name, layer, inside)
    if inside == "mlp.gate_up_proj":
        theirs = [f"{layer}.mlp.experts.{e}.{part}_proj.weight" for e in range(num_experts) for part in ("gate", "up")]
        return WeightRule((name,), tuple(theirs), _stack_gate_up, _unstack_gate_up)
    if inside == "mlp.down_proj":
        theirs = [f"{layer}.mlp.experts.{e}.down_proj.weight" for e in range(num_experts)]
        return WeightRule((name,), tuple(theirs), _stack, _unstack)
    return WeightRule((name,), (f"{layer}.{_translate(table, inside)}",), list, list)


def _translate(table: NameTable, inside: str) -> str:
    """Replace the longest known leading part of a name within a layer."""
    parts = inside.split(".")
    for length in range(len(parts), 0, -1):
        theirs = table.parts.get(".".join(parts[:length]))
        if theirs is not None:
            return ".".join([theirs, *parts[length:]])
    raise AssertionError(f"no name for {inside} in this family")


def _conv1d_rule(table: NameTable, name: str, layer: str, inside: str) -> WeightRule:
    matrix = inside.endswith(".weight") and not inside.startswith(("attn_norm", "mlp_norm"))
    if inside.startswith("attn.q_proj."):
        leaf = inside.rpartition(".")[2]
        ours = tuple(name.replace(".q_proj.", f".{part}_proj.") for part in "qkv")
        to_ours, to_theirs = (_unfuse_matrix, _fuse_matrix) if matrix else (_unfuse_bias, _fuse_bias)
        return WeightRule(ours, (f"{layer}.attn.c_attn.{leaf}",), to_ours, to_theirs)
    theirs = (f"{layer}.{_translate(table, inside)}",)
    if matrix:
        return WeightRule((name,), theirs, _transpose, _transpose)
    return WeightRule((name,), theirs, list, list)


def _transpose(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.t().contiguous() for tensor in tensors]


def _unfuse_matrix(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [part.t().contiguous() for part in tensors[0].chunk(3, dim=1)]


def _fuse_matrix(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat([tensor.t() for tensor in tensors], dim=1)]


def _unfuse_bias(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [part.contiguous() for part in tensors[0].chunk(3)]


def _fuse_bias(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat(list(tensors))]


def _stack(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [torch.stack(list(tensors))]


def _unstack(tensors: Sequence[Tensor]) -> list[Tensor]:
    return list(tensors[0].unbind(0))


def _stack_gate_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    rows, width = tensors[0].shape  # gate and up alternate, so each two of them are one expert's
    return [torch.stack(list(tensors)).view(-1, 2 * rows, width)]


def _unstack_gate_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [half for expert in tensors[0].unbind(0) for half in expert.chunk(2)]
