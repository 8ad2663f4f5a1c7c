"""A GPT's forward pass over a packed batch, from the same modules, with fused loops between the matrix products.

Shape legend: N tokens, C hidden width.
"""

import torch
from torch import Tensor

from chatwright.model import GPT
from chatwright.model.feed_forward import FeedForward
from chatwright.model.gpt import Block
from chatwright.model.norms import RMSNorm
from chatwright.model.positions import Rotary
from chatwright.train.batch import Batch
from chatwright.train.blocks import Recomputed
from chatwright.train.cpu.attention import Block as QueryBlock
from chatwright.train.cpu.attention import Heads, PackedAttention, blocks_of
from chatwright.train.cpu.functions import AddNorm, SwiGLU, project, use_threads_of_torch
from chatwright.train.dtensors import is_sharded_model

_EVERYTHING = 1 << 60


def supports(model: GPT) -> bool:
    """Whether the loops know all that ``model`` is made of: today's Llama and Qwen shapes, in bfloat16 on a CPU."""
    config, weight = model.config, model.embed.weight
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.bfloat16
        and config.norm == "rms"
        and config.norm_placement == "pre"
        and config.norm_offset == 0.0
        and config.final_norm
        and config.position in ("rotary", "none")
        and config.feed_forward == "swiglu"
        and config.moe is None
        and config.causal
        and config.dropout == 0.0
        and config.head_size % 2 == 0
        and all(isinstance(_replaced(block), Recomputed | None) for block in model.layers)
        and not is_sharded_model(model)  # its weights are gathered by hooks of the modules, which the loops pass by
    )


def _replaced(block: torch.nn.Module) -> object:
    """What stands in for the block's own forward pass (see :mod:`chatwright.train.blocks`), or None."""
    return block.__dict__.get("forward")


def hidden_states(model: GPT, batch: Batch) -> Tensor:
    """What the output head reads, bfloat16 [N, C]; ``model`` is one that :func:`supports` accepts."""
    use_threads_of_torch()
    rest = len(batch.input_ids_N) - batch.num_tokens
    blocks = blocks_of((*batch.lengths, rest) if rest else batch.lengths)
    rotations = {}
    if model.config.position == "rotary":
        ropes = {model.config.layer_rope(layer) for layer in range(model.config.num_layers)}
        rotations = {rope: _rotation(Rotary(rope, model.config.head_size), batch.positions_N) for rope in ropes}
    none = (torch.zeros(0, 0), torch.zeros(0, 0))
    stream = model.embed_tokens(batch.input_ids_N[None], batch.positions_N[None])[0].float()
    branch: Tensor | None = None
    for layer, block in enumerate(model.layers):
        assert isinstance(block, Block)
        run = _block if _replaced(block) is None else Recomputed(_block)
        rotation = rotations.get(model.config.layer_rope(layer), none)
        stream, branch = run(block, stream, branch, rotation, blocks)
    return _add_norm(stream, branch, model.norm)[1]


def _block(
    block: Block, stream: Tensor, branch: Tensor | None, rotation: tuple[Tensor, Tensor], blocks: list[QueryBlock]
) -> tuple[Tensor, Tensor]:
    """One layer: the stream with the last layer's branch added, and this layer's feed-forward branch."""
    attn, mlp = block.attn, block.mlp
    assert isinstance(mlp, FeedForward)
    assert mlp.gate_proj is not None
    stream, normed = _add_norm(stream, branch, block.attn_norm)
    q, k, v = project(normed, attn.q_proj, attn.k_proj, attn.v_proj)
    q_norm, k_norm = attn.q_norm, attn.k_norm
    heads = Heads(
        q.shape[1] // attn.head_dim,
        k.shape[1] // attn.head_dim,
        attn.head_dim,
        q_norm.eps if isinstance(q_norm, RMSNorm) else 0.0,
        attn.scale,
        attn.window or _EVERYTHING,
    )
    q_weight = q_norm.weight if isinstance(q_norm, RMSNorm) else None
    k_weight = k_norm.weight if isinstance(k_norm, RMSNorm) else None
    mixed = PackedAttention.apply(q, k, v, q_weight, k_weight, *rotation, heads, blocks)  # type: ignore[no-untyped-call]
    stream, normed = _add_norm(stream, project(mixed, attn.o_proj)[0], block.mlp_norm)
    inner = SwiGLU.apply(*project(normed, mlp.gate_proj, mlp.up_proj))  # type: ignore[no-untyped-call]
    return stream, project(inner, mlp.down_proj)[0]


def _add_norm(stream: Tensor, branch: Tensor | None, norm: torch.nn.Module) -> tuple[Tensor, Tensor]:
    assert isinstance(norm, RMSNorm)
    joined: tuple[Tensor, Tensor] = AddNorm.apply(stream, branch, norm.weight, norm.eps)  # type: ignore[no-untyped-call]
    return joined


def _rotation(rotary: Rotary, positions_N: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines, float32 [N, D / 2] each."""
    cos, sin = rotary(positions_N[None], torch.float32)
    half = sin.shape[-1]
    return cos[0, 0, :, :half].contiguous(), sin[0, 0].contiguous()
