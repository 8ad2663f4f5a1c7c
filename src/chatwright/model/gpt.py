"""The GPT: embeddings, a stack of blocks, a final norm and an output head, all as one config describes them.

Shape legend: B batch, T time, C hidden width, V vocabulary, H query heads.

Attention is behind a hook (:class:`~chatwright.model.attention.Attend`), so the engine's paged cache and packed
training documents use this very module.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chatwright.errors import ContextLengthError, InvalidParameterError
from chatwright.model.attention import Attend, Attention, DenseAttend
from chatwright.model.config import ModelConfig, RopeConfig
from chatwright.model.feed_forward import make_feed_forward
from chatwright.model.norms import make_norm
from chatwright.model.positions import Rotary, sinusoidal_positions


@dataclass(slots=True)
class GPTOutput:
    """What one forward pass gives.

    Attributes:
        logits: [B, T, V], or fewer positions where ``num_logits`` asked for fewer.
        last_hidden_state: [B, T, C] after the final norm: what the head reads, for losses in chunks and embeddings.
        hidden_states: on request, the residual stream [B, T, C] before each block and, last, ``last_hidden_state``.
        attentions: on request, the attention probabilities [B, H, T, T] of each layer.
    """

    logits: Tensor
    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on a residual branch with its norms."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.post = config.norm_placement == "post"
        self.attn_norm = make_norm(config, config.hidden_size)
        self.attn = Attention(config, layer)
        self.mlp_norm = make_norm(config, config.hidden_size)
        self.mlp = make_feed_forward(config, layer)
        self.attn_post_norm: nn.Module | None = None
        self.mlp_post_norm: nn.Module | None = None
        if config.norm_placement == "sandwich":
            self.attn_post_norm = make_norm(config, config.hidden_size)
            self.mlp_post_norm = make_norm(config, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTC: Tensor, rotation: tuple[Tensor, Tensor] | None, attend: Attend) -> Tensor:
        """Run the layer; arguments as in :meth:`Attention.forward`."""
        if self.post:
            x_BTC = self.attn_norm(x_BTC + self.dropout(self.attn(x_BTC, rotation, attend)))
            post: Tensor = self.mlp_norm(x_BTC + self.dropout(self.mlp(x_BTC)))
            return post
        branch = self.attn(self.attn_norm(x_BTC), rotation, attend)
        if self.attn_post_norm is not None:
            branch = self.attn_post_norm(branch)
        x_BTC = x_BTC + self.dropout(branch)
        branch = self.mlp(self.mlp_norm(x_BTC))
        if self.mlp_post_norm is not None:
            branch = self.mlp_post_norm(branch)
        y_BTC: Tensor = x_BTC + self.dropout(branch)
        return y_BTC


class GPT(nn.Module):
    """A decoder-only Transformer described by its config.

    A fresh one has random weights from seed 0 (see :meth:`init_weights`). Under ``torch.device("meta")`` nothing is
    allocated; :func:`chatwright.model.load_model` and :func:`chatwright.model.build_model` work that way.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embed: nn.Embedding | None = None
        if config.position == "learned":
            self.position_embed = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_layers))
        self.norm = make_norm(config, config.hidden_size) if config.final_norm else nn.Identity()
        self.head: nn.Linear | None = None
        if not config.tie_embeddings:
            self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self._rotaries = _make_rotaries(config)
        if not self.embed.weight.is_meta:
            self.init_weights()

    def forward(
        self,
        input_ids_BT: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        attend: Attend | None = None,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
        num_logits: int | Tensor | None = None,
    ) -> GPTOutput:
        """Logits of the next token at every position.

        Args:
            input_ids_BT: token ids [B, T], int64.
            attention_mask: [B, T], nonzero for real tokens, 0 for padding; None means no padding.
            positions: position of each token, int64 [B, T] or [1, T]; None counts 0 … T-1 (padding included, as
                ``transformers`` does: with learned positions and padding on the left, give positions yourself).
            attend: replaces the attention computation, see :class:`Attend`; then ``attention_mask`` and
                ``output_attentions`` are the hook's affair and must not be given.
            output_hidden_states, output_attentions: also return them; the latter takes a slower attention.
            num_logits: apply the head only to the last so many positions (0: to none), or to the positions whose
                time indices are given (int64 [N], the same for the whole batch); None means all.
        Returns:
            Logits in the dtype of the weights, and what else was asked for.
        Raises:
            ContextLengthError: learned positions end before the sequence does.
            InvalidParameterError: arguments of the wrong shape, or that exclude each other.
        """
        _check_arguments(input_ids_BT, attention_mask, attend, output_attentions, num_logits)
        recorder = None
        if attend is None:
            recorder = DenseAttend(
                causal=self.config.causal, attention_mask_BT=attention_mask, record=output_attentions
            )
            attend = recorder
        if positions is None:
            self._check_length(input_ids_BT.shape[1])
            positions = torch.arange(input_ids_BT.shape[1], device=input_ids_BT.device)[None]
        x_BTC = self.embed_tokens(input_ids_BT, positions)
        rotations = {rope: rotary(positions, x_BTC.dtype) for rope, rotary in self._rotaries.items()}
        hidden_states: list[Tensor] = []
        for layer, block in enumerate(self.layers):
            if output_hidden_states:
                hidden_states.append(x_BTC)
            x_BTC = block(x_BTC, rotations.get(self.config.layer_rope(layer)), attend)
        x_BTC = self.norm(x_BTC)
        if output_hidden_states:
            hidden_states.append(x_BTC)
        return GPTOutput(
            logits=self.logits(_select(x_BTC, num_logits)),
            last_hidden_state=x_BTC,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(recorder.probabilities) if recorder is not None and output_attentions else None,
        )

    def residuals(self, input_ids_BT: Tensor, attend: Attend | None = None) -> Iterator[Tensor]:
        """The residual stream [B, T, C] layer by layer: before the first block, then after each one.

        Whoever stops early computes no more layers, and whoever has others wait for the model may let them in between.

        Args:
            input_ids_BT: token ids [B, T], int64, without padding.
            attend: as for :meth:`forward`.
        """
        attend = attend or DenseAttend(causal=self.config.causal)
        self._check_length(input_ids_BT.shape[1])
        positions = torch.arange(input_ids_BT.shape[1], device=input_ids_BT.device)[None]
        x_BTC = self.embed_tokens(input_ids_BT, positions)
        rotations = {rope: rotary(positions, x_BTC.dtype) for rope, rotary in self._rotaries.items()}
        yield x_BTC
        for layer, block in enumerate(self.layers):
            x_BTC = block(x_BTC, rotations.get(self.config.layer_rope(layer)), attend)
            yield x_BTC

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the output head to normed hidden states [..., C]; the result is [..., V]."""
        weight = self.embed.weight if self.head is None else self.head.weight
        # As a matrix: given a view with three dimensions, PyTorch may copy the whole head to multiply it in batches.
        return F.linear(hidden.reshape(-1, hidden.shape[-1]), weight).view(*hidden.shape[:-1], weight.shape[0])

    def num_parameters(self, non_embedding: bool = False) -> int:
        """Number of weights; a tied head counts once.

        Args:
            non_embedding: leave out the token and position tables (the untied head is counted).
        """
        total = sum(parameter.numel() for parameter in self.parameters())
        if non_embedding:
            total -= self.embed.weight.numel()
            total -= 0 if self.position_embed is None else self.position_embed.weight.numel()
        return total

    @torch.no_grad()
    def init_weights(self, seed: int = 0) -> None:
        """Fill every weight afresh: the same seed gives the same weights on every CPU.

        Matrices are normal with ``config.initializer_range``; those that write into the residual stream are smaller by
        sqrt(2 * num_layers), so that the stream's variance does not grow with depth (Radford et al. 2019, section
        2.3). Biases are 0, norms multiply by 1.
        """
        generator = torch.Generator(device=self.embed.weight.device).manual_seed(seed)
        std = self.config.initializer_range
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "norm" in name:
                parameter.fill_(1.0 - self.config.norm_offset)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "mlp.down_proj")):
                parameter.normal_(0.0, std / (2 * self.config.num_layers) ** 0.5, generator=generator)
            else:
                parameter.normal_(0.0, std, generator=generator)

    def embed_tokens(self, input_ids_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """The residual stream before the first block [B, T, C]: token embeddings, scaled, with absolute positions."""
        x_BTC: Tensor = self.embed(input_ids_BT)
        if self.config.embedding_scale != 1.0:
            # The factor is rounded to the dtype of the weights first: Gemma was trained that way.
            x_BTC = x_BTC * torch.tensor(self.config.embedding_scale, dtype=x_BTC.dtype)
        if self.position_embed is not None:
            x_BTC = x_BTC + self.position_embed(positions_BT)
        elif self.config.position == "sinusoidal":
            x_BTC = x_BTC + sinusoidal_positions(positions_BT, self.config.hidden_size, x_BTC.dtype)
        embedded: Tensor = self.dropout(x_BTC)
        return embedded

    def _check_length(self, time: int) -> None:
        limit = self.config.max_position_embeddings
        if self.position_embed is not None and time > limit:
            raise ContextLengthError(
                f"the input has {time} tokens, but this model has learned positions for {limit} only; shorten it",
                prompt_tokens=time,
                limit=limit,
            )


def _make_rotaries(config: ModelConfig) -> dict[RopeConfig, Rotary]:
    """One table per distinct rotary setting (Gemma 3 has two), so that layers share cosines and sines."""
    if config.position != "rotary":
        return {}
    ropes = {config.layer_rope(layer) for layer in range(config.num_layers)}
    return {rope: Rotary(rope, config.head_size) for rope in ropes}


def _check_arguments(
    input_ids_BT: Tensor,
    attention_mask: Tensor | None,
    attend: Attend | None,
    output_attentions: bool,
    num_logits: int | Tensor | None,
) -> None:
    if input_ids_BT.dim() != 2 or input_ids_BT.numel() == 0:
        raise InvalidParameterError(
            "input_ids", f"input_ids has shape {list(input_ids_BT.shape)}; it must be [B, T], neither of them 0"
        )
    if input_ids_BT.dtype not in (torch.int64, torch.int32):
        raise InvalidParameterError("input_ids", f"input_ids is of {input_ids_BT.dtype}; it must be torch.int64")
    if attention_mask is not None and attention_mask.shape != input_ids_BT.shape:
        raise InvalidParameterError(
            "attention_mask",
            f"attention_mask has shape {list(attention_mask.shape)}; it must be that of input_ids, "
            f"{list(input_ids_BT.shape)}",
        )
    if attend is not None and (attention_mask is not None or output_attentions):
        raise InvalidParameterError(
            "attend", "attention_mask and output_attentions belong to the default attention, which attend replaces"
        )
    if isinstance(num_logits, int) and num_logits < 0:
        raise InvalidParameterError("num_logits", f"num_logits is {num_logits}; it must be 0 or more")


def _select(x_BTC: Tensor, num_logits: int | Tensor | None) -> Tensor:
    """The positions that the head is asked for."""
    if num_logits is None:
        return x_BTC
    if isinstance(num_logits, int):
        return x_BTC[:, x_BTC.shape[1] - min(num_logits, x_BTC.shape[1]) :]
    return x_BTC[:, num_logits]
