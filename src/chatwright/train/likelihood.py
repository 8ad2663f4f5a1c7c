"""From a batch to log-probabilities, without ever holding all logits.

Shape legend: N tokens of the batch, M labelled positions, D documents, C hidden width, V vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from chatwright.model import GPT
from chatwright.train import logits
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.cpu import forward as fused
from chatwright.train.packed import PackedAttend

# So many logits exist at once (32 MiB in bfloat16). Measured on 2 cores with V = 8,192, the loss with its gradients:
# 78 ms in chunks of 256 positions, 88 of 1,024, 64 of 2,048, 63 of 4,096.
_LOGITS = 1 << 24


def hidden_states(model: GPT, batch: Batch) -> Tensor:
    """What the output head reads, [N, C]; documents do not see each other."""
    if fused.supports(model):
        return fused.hidden_states(model, batch)
    attend = PackedAttend.of(batch, causal=model.config.causal)
    output = model(batch.input_ids_N[None], positions=batch.positions_N[None], attend=attend, num_logits=0)
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


def head_weight(model: GPT) -> Tensor:
    """The output head's matrix [V, C]."""
    return model.embed.weight if model.head is None else model.head.weight


def cross_entropy(model: GPT, batch: Batch, *, z_loss: float = 0.0) -> Tensor:
    """Summed negative log-likelihood (nats) of the labels, a float32 scalar.

    The gradient is computed together with the loss, chunk by chunk, so the logits are neither kept nor made again.

    Args:
        model: run once.
        batch: M labelled positions are summed over.
        z_loss: coefficient of log(Z)², which keeps the logits from drifting (Chowdhery et al. 2022, arXiv 2204.02311,
            section 5).
    """
    hidden_MC, labels_M = _labelled(hidden_states(model, batch), batch)
    total: Tensor = _SummedCrossEntropy.apply(hidden_MC, head_weight(model), labels_M, z_loss)  # type: ignore[no-untyped-call]
    return total


def token_log_probs(model: GPT, batch: Batch, *, temperature: float = 1.0) -> Tensor:
    """Log-probability (nats) of each label, float32 [M], in the order of the positions.

    The backward pass makes each chunk's logits again.

    Args:
        model: run once.
        batch: what is scored.
        temperature: logits are divided by it, as the sampler does.
    """
    return label_log_probs(model, hidden_states(model, batch), batch, temperature=temperature)


def label_log_probs(model: GPT, hidden_NC: Tensor, batch: Batch, *, temperature: float = 1.0) -> Tensor:
    """As :func:`token_log_probs`, where the hidden states are known already; only the output head is run."""
    hidden_MC, labels_M = _labelled(hidden_NC, batch)
    values: Tensor = _LogProbs.apply(hidden_MC, head_weight(model), labels_M, temperature)  # type: ignore[no-untyped-call]
    return values


def document_sums(values_M: Tensor, batch: Batch) -> Tensor:
    """Sum of the labelled positions' values in each document, float32 [D]."""
    document_M = document_of_labels(batch)
    return values_M.new_zeros(len(batch.lengths)).index_add(0, document_M, values_M)


def document_label_counts(batch: Batch) -> Tensor:
    """Labelled positions of each document, float32 [D]."""
    ones = torch.ones(batch.num_labels, device=batch.labels_N.device)
    return document_sums(ones, batch)


def document_of_labels(batch: Batch) -> Tensor:
    """Which document each labelled position belongs to, int64 [M]."""
    lengths = torch.tensor(batch.lengths, device=batch.labels_N.device)
    owner_N = torch.repeat_interleave(torch.arange(len(batch.lengths), device=lengths.device), lengths)
    return owner_N[batch.labels_N[: len(owner_N)] != IGNORED]


def _labelled(hidden_NC: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    rows = (batch.labels_N != IGNORED).nonzero(as_tuple=True)[0]
    if len(rows) == len(batch.labels_N):
        return hidden_NC, batch.labels_N
    return hidden_NC.index_select(0, rows), batch.labels_N.index_select(0, rows)


def _chunks(count: int, vocab_size: int) -> Iterator[slice]:
    """Positions whose logits are made together."""
    size = max(_LOGITS // vocab_size, 1)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class _SummedCrossEntropy(Function):
    """Sum of -log p(label) + z_loss * log(Z)²; gradients are made in the forward pass and scaled in the backward."""

    @staticmethod
    def forward(ctx: Any, hidden_MC: Tensor, weight_VC: Tensor, labels_M: Tensor, z_loss: float) -> Tensor:
        weight = weight_VC.detach().to(hidden_MC.dtype)
        gradients = _HeadGradients(ctx, hidden_MC, weight)
        total = torch.zeros((), dtype=torch.float32, device=hidden_MC.device)
        for chunk in _chunks(len(labels_M), len(weight)):
            losses, gradient = logits.loss_and_gradient(hidden_MC[chunk] @ weight.T, labels_M[chunk], z_loss)
            total += losses.sum()
            gradients.add(chunk, gradient)
        ctx.save_for_backward(*gradients.done(weight_VC.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_grad, weight_grad = ctx.saved_tensors
        return (
            None if hidden_grad is None else hidden_grad * grad.to(hidden_grad.dtype),
            None if weight_grad is None else weight_grad * grad.to(weight_grad.dtype),
            None,
            None,
        )


class _LogProbs(Function):
    """Log-probability of each label; only what is needed to make the logits again is kept."""

    @staticmethod
    def forward(ctx: Any, hidden_MC: Tensor, weight_VC: Tensor, labels_M: Tensor, temperature: float) -> Tensor:
        weight = weight_VC.detach().to(hidden_MC.dtype)
        values = torch.empty(len(labels_M), dtype=torch.float32, device=hidden_MC.device)
        log_z = torch.empty_like(values)
        for chunk in _chunks(len(labels_M), len(weight)):
            values[chunk], log_z[chunk] = logits.log_probs(hidden_MC[chunk] @ weight.T, labels_M[chunk], temperature)
        ctx.save_for_backward(hidden_MC, weight_VC, labels_M, log_z)
        ctx.temperature = temperature
        return values

    @staticmethod
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_MC, weight_VC, labels_M, log_z = ctx.saved_tensors
        weight = weight_VC.to(hidden_MC.dtype)
        gradients = _HeadGradients(ctx, hidden_MC, weight)
        for chunk in _chunks(len(labels_M), len(weight)):
            gradient = logits.log_probs_gradient(
                hidden_MC[chunk] @ weight.T, labels_M[chunk], ctx.temperature, log_z[chunk], grad_M[chunk]
            )
            gradients.add(chunk, gradient)
        return *gradients.done(weight_VC.dtype), None, None


class _HeadGradients:
    """What the logits' gradient means for the hidden states and the head's matrix, as far as either is wanted."""

    def __init__(self, ctx: Any, hidden_MC: Tensor, weight: Tensor) -> None:
        self._hidden, self._weight = hidden_MC, weight
        self._hidden_grad = torch.empty_like(hidden_MC) if ctx.needs_input_grad[0] else None
        self._wants_weight: bool = ctx.needs_input_grad[1]
        self._weight_grad: Tensor | None = None

    def add(self, chunk: slice, gradient: Tensor) -> None:
        """``gradient`` [., V] of the logits of these positions, in the dtype of computation."""
        if self._hidden_grad is not None:
            torch.mm(gradient, self._weight, out=self._hidden_grad[chunk])
        if self._wants_weight:
            part = gradient.T @ self._hidden[chunk]
            # Chunks add up in float32: in bfloat16 the last of many would be rounded away.
            self._weight_grad = part.float() if self._weight_grad is None else self._weight_grad.add_(part)

    def done(self, weight_dtype: torch.dtype) -> tuple[Tensor | None, Tensor | None]:
        """Gradients of the hidden states [M, C] and of the head [V, C]."""
        if self._wants_weight and self._weight_grad is None:
            self._weight_grad = torch.zeros_like(self._weight)
        return self._hidden_grad, None if self._weight_grad is None else self._weight_grad.to(weight_dtype)
