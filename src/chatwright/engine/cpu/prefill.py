"""Prompts on the CPU: PyTorch's bfloat16 matrix products, with everything between them in compiled loops.

Eager PyTorch spends half of a prompt's time in RMSNorm, rotation and SwiGLU, each several passes over memory with a
thread pool started for each. Here each is one pass, fused with its neighbours, over a residual stream in float32.

Shape legend: T tokens of the chunk, S positions in the cache, C hidden width, H heads, D head width.
"""

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.engine.cpu import rows
from chatwright.engine.cpu.attention_tiles import PAGE
from chatwright.engine.cpu.state import Batch, Cache, Shape, Weights
from chatwright.engine.memory import page_out
from chatwright.engine.runner import Chunk
from chatwright.model.attention import Attend
from chatwright.model.config import ModelConfig
from chatwright.model.feed_forward import FeedForward
from chatwright.model.gpt import GPT, Block

# Rows of a matrix product are padded to a multiple of this: with 505 rows oneDNN's product for a feed-forward's
# down projection took twice as long as with 512.
ROWS = 32
_TYPICAL_ROWS = 512  # what oneDNN packs a matrix for


class Prefill(Protocol):
    """Runs a chunk of a prompt: writes its keys and values, returns hidden states after the final norm."""

    def __call__(self, chunk: Chunk, cos: np.ndarray, sin: np.ndarray) -> Tensor:
        """Float32 [number of logits wanted, C]. ``cos`` and ``sin`` are [tables, T, D / 2]."""
        ...


def make_prefill(model: GPT, weights: Weights, shape: Shape, cache: Cache) -> Prefill:
    """The fused form where the model is in bfloat16 and the loops know all its options, else the plain one."""
    config = model.config
    if model.embed.weight.dtype == torch.bfloat16 and not (config.gated and config.mlp_bias):
        return FusedPrefill(model, weights, shape, cache)
    return ModulePrefill(model, cache)


class ModulePrefill:
    """A chunk through the GPT module itself, its keys and values going into the paged cache."""

    def __init__(self, model: GPT, cache: Cache) -> None:
        self._model, self._pages = model, Pages(cache, model.config.head_size)

    @torch.inference_mode()
    def __call__(self, chunk: Chunk, cos: np.ndarray, sin: np.ndarray) -> Tensor:
        """See :class:`Prefill`."""
        positions = torch.arange(chunk.start, chunk.start + len(chunk.tokens))[None]
        output = self._model(
            torch.tensor(chunk.tokens)[None], positions=positions, attend=self._attend(chunk), num_logits=0
        )
        hidden: Tensor = output.last_hidden_state[0, len(chunk.tokens) - chunk.num_logits :].float()
        return hidden

    def _attend(self, chunk: Chunk) -> Attend:
        view = ChunkView(self._pages, chunk)

        def attend(
            layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
        ) -> Tensor:
            view.write(layer, k_BHTD[0], v_BHTD[0])
            return view.attend(layer, q_BHTD, k_BHTD, v_BHTD, scale=scale, window=window)

        return attend


class FusedPrefill:
    """A chunk as bfloat16 matrix products with fused loops between them."""

    def __init__(self, model: GPT, weights: Weights, shape: Shape, cache: Cache) -> None:
        self._model, self._weights, self._shape, self._cache = model, weights, shape, cache
        self._pages = Pages(cache, model.config.head_size)
        self._layers: list[_LayerProducts] = []

    @torch.inference_mode()
    def __call__(self, chunk: Chunk, cos: np.ndarray, sin: np.ndarray) -> Tensor:
        """See :class:`Prefill`."""
        if not self._layers:
            self._layers = [_LayerProducts(block, self._model.config) for block in self._model.layers]
        config, shape, weights = self._model.config, self._shape, self._weights
        count, view = len(chunk.tokens), ChunkView(self._pages, chunk)
        positions = np.arange(chunk.start, chunk.start + count)
        embedded = self._model.embed_tokens(torch.tensor(chunk.tokens)[None], torch.from_numpy(positions)[None])
        x_TC = embedded[0].float().contiguous()
        batch = Batch(
            x=x_TC.numpy(),
            positions=positions,
            blocks=np.tile(np.array(chunk.blocks, np.int32), (count, 1)),
            cos=cos,
            sin=sin,
            wanted=np.zeros(0, np.int64),
            logits=np.zeros((0, 0), np.float32),
        )
        padded = -(-count // ROWS) * ROWS
        hidden = _bfloat16(padded, config.hidden_size)
        mixed = _bfloat16(padded, config.num_heads * config.head_size)
        q, k, v = (_bfloat16(heads, padded, config.head_size) for heads in (config.num_heads, *[config.kv_heads] * 2))
        branch = hidden  # unread before the first layer has made one
        for layer, products in enumerate(self._layers):
            rows.enter_attention(_bits(branch), _bits(hidden), layer, shape, weights, batch.x)
            qkv = F.linear(hidden, products.qkv)
            rows.place(_bits(qkv), _bits(q), _bits(k), _bits(v), layer, shape, weights, self._cache, batch)
            window = config.window(layer)
            # Plain causality hides the padding behind the last token; a mask is made for the tokens that there are.
            seen = padded if chunk.start == 0 and (window is None or window >= count) else count
            y = view.attend(layer, q[None, :, :seen], k[None, :, :seen], v[None, :, :seen], scale=1.0, window=window)
            mixed[:seen].view(seen, config.num_heads, -1).copy_(y[0].transpose(0, 1))
            branch = F.linear(mixed, products.output)
            rows.enter_mlp(_bits(branch), _bits(hidden), layer, shape, weights, batch.x)
            inner = products.fused_inner(hidden)
            if inner is None:
                inner = _bfloat16(padded, config.mlp_size)
                rows.activate(_bits(products.up(hidden)), _bits(inner), count, layer, shape, weights)
            branch = F.linear(inner, products.down)
        out = np.empty((chunk.num_logits, config.hidden_size), np.float32)
        first = count - chunk.num_logits
        rows.leave(_bits(branch)[first:count], out, shape, weights, batch.x[first:])
        return torch.from_numpy(out)


class Pages:
    """The paged cache as tensors of the true head width."""

    def __init__(self, cache: Cache, head_dim: int) -> None:
        self.keys = torch.from_numpy(cache.keys.view(np.int16)).view(torch.bfloat16)[:, :, :, :head_dim]
        self.values = torch.from_numpy(cache.values.view(np.int16)).view(torch.bfloat16)[..., :head_dim]


class ChunkView:
    """What a chunk sees of the cache."""

    def __init__(self, pages: Pages, chunk: Chunk) -> None:
        self._start, self._length = chunk.start, chunk.start + len(chunk.tokens)
        self._pages = pages
        self._blocks = torch.tensor(chunk.blocks[: -(-self._length // PAGE)])
        at = torch.arange(self._start, self._length)
        self._page, self._slot = self._blocks[at // PAGE], at % PAGE
        self._masks: dict[int | None, Tensor] = {}

    def write(self, layer: int, k_HTD: Tensor, v_HTD: Tensor) -> None:
        """Put the chunk's own keys and values into the cache."""
        self._pages.keys[layer][self._page, :, :, self._slot] = k_HTD.transpose(0, 1).to(torch.bfloat16)
        self._pages.values[layer][self._page, :, self._slot] = v_HTD.transpose(0, 1).to(torch.bfloat16)

    def attend(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """Causal attention of the chunk over all that its sequence has, [1, H, T, D].

        ``k`` and ``v`` are the chunk's own; with tokens before it, all are read from the cache.
        """
        if self._start:
            k_HDS = self._pages.keys[layer][self._blocks].permute(1, 2, 0, 3).flatten(2)[..., : self._length]
            v_HSD = self._pages.values[layer][self._blocks].transpose(0, 1).flatten(1, 2)[:, : self._length]
            k_BHTD, v_BHTD = k_HDS.transpose(1, 2)[None].to(q_BHTD.dtype), v_HSD[None].to(q_BHTD.dtype)
        mask = self._mask(window)
        return F.scaled_dot_product_attention(
            q_BHTD,
            k_BHTD,
            v_BHTD,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=q_BHTD.shape[1] != k_BHTD.shape[1],
        )

    def _mask(self, window: int | None) -> Tensor | None:
        """What each query sees, bool [T, S]; None where plain causality says it."""
        if window is not None and window >= self._length:
            window = None
        if window is None and self._start == 0:
            return None
        if window not in self._masks:
            distance = torch.arange(self._start, self._length)[:, None] - torch.arange(self._length)[None]
            seen = distance >= 0
            self._masks[window] = seen if window is None else seen & (distance < window)
        return self._masks[window]


# How oneDNN calls the activations that it can apply while it writes a product.
_FUSED = {"swiglu": ("swish", None), "geglu": ("gelu", "tanh")}


class _LayerProducts:
    """The matrices of one layer as a prompt wants them: q, k and v as one; gate and up packed, or as one.

    oneDNN applies the gate's activation and multiplies by it while it writes the two products, which spares a pass
    over the widest activations of the model. The functions are those that PyTorch's compiler emits for this case.
    """

    def __init__(self, block: nn.Module, config: ModelConfig) -> None:
        assert isinstance(block, Block)
        attn, mlp = block.attn, block.mlp
        assert isinstance(mlp, FeedForward)
        self.qkv = torch.cat((attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight))
        self.output, self.down = attn.o_proj.weight, mlp.down_proj.weight
        self._activation = _FUSED.get(config.feed_forward) if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]
        self._up: tuple[Tensor, ...] = (mlp.up_proj.weight,)
        copied = [attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight]
        if mlp.gate_proj is not None:
            self._up = (mlp.gate_proj.weight, mlp.up_proj.weight)
            copied += self._up
            if self._activation is not None:
                self._up = tuple(torch.ops.mkldnn._reorder_linear_weight(matrix, _TYPICAL_ROWS) for matrix in self._up)
            else:
                self._up = (torch.cat(self._up),)
        page_out(copied)

    def fused_inner(self, hidden: Tensor) -> Tensor | None:
        """activation(gate) * up, [rows, M]; None where that takes a pass of its own."""
        if self._activation is None:
            return None
        (gate, up), (name, algorithm) = self._up, self._activation
        gated = torch.ops.mkldnn._linear_pointwise(hidden, gate, None, name, [], algorithm)
        inner: Tensor = torch.ops.mkldnn._linear_pointwise.binary(hidden, gated, up, None, "mul")
        return inner

    def up(self, hidden: Tensor) -> Tensor:
        """The gate's and the up projection side by side, or the up projection alone."""
        return F.linear(hidden, self._up[0])


def _bfloat16(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.bfloat16)


def _bits(tensor: Tensor) -> np.ndarray:
    """The memory of a bfloat16 tensor as uint16."""
    array: np.ndarray = tensor.view(torch.int16).numpy().view(np.uint16)
    return array
