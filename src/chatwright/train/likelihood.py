"""From a batch to log-probabilities, without ever holding all logits.

Shape legend: N tokens of the batch, M labelled positions, D documents, C hidden width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from chatwright.model import GPT
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.packed import PackedAttend

# Logits of so many positions exist at once. Measured on 2 cores with V = 8,192: 256 to 1,024 are equally fast.
_CHUNK = 512


def hidden_states(model: GPT, batch: Batch) -> Tensor:
    """What the output head reads, [N, C]; documents do not see each other."""
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
    hidden_MC, labels_M = _labelled(hidden_states(model, batch), batch)
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


class _SummedCrossEntropy(Function):
    """Sum of -log p(label) + z_loss * log(Z)²; gradients are made in the forward pass and scaled in the backward."""

    @staticmethod
    def forward(ctx: Any, hidden_MC: Tensor, weight_VC: Tensor, labels_M: Tensor, z_loss: float) -> Tensor:
        weight = weight_VC.to(hidden_MC.dtype)
        wants_hidden, wants_weight = ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        hidden_grad = torch.empty_like(hidden_MC) if wants_hidden else None
        weight_grad = torch.zeros_like(weight_VC, dtype=torch.float32) if wants_weight else None
        total = torch.zeros((), dtype=torch.float32, device=hidden_MC.device)
        for start in range(0, len(labels_M), _CHUNK):
            chunk, labels = hidden_MC[start : start + _CHUNK], labels_M[start : start + _CHUNK, None]
            logits = (chunk @ weight.T).float()
            log_z = torch.logsumexp(logits, dim=-1, keepdim=True)
            total += (log_z - logits.gather(1, labels) + z_loss * log_z.square()).sum()
            if not (wants_hidden or wants_weight):
                continue
            gradient = (logits - log_z).exp_()
            if z_loss:
                gradient *= 1 + 2 * z_loss * log_z
            gradient.scatter_add_(1, labels, torch.full_like(log_z, -1.0))
            gradient = gradient.to(hidden_MC.dtype)
            if hidden_grad is not None:
                torch.mm(gradient, weight, out=hidden_grad[start : start + _CHUNK])
            if weight_grad is not None:
                weight_grad += gradient.T @ chunk
        ctx.save_for_backward(hidden_grad, None if weight_grad is None else weight_grad.to(weight_VC.dtype))
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
        weight = weight_VC.to(hidden_MC.dtype)
        values = torch.empty(len(labels_M), dtype=torch.float32, device=hidden_MC.device)
        log_z = torch.empty_like(values)
        for start in range(0, len(labels_M), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            logits = (hidden_MC[chunk] @ weight.T).float() / temperature
            log_z[chunk] = torch.logsumexp(logits, dim=-1)
            values[chunk] = logits.gather(1, labels_M[chunk, None]).squeeze(1) - log_z[chunk]
        ctx.save_for_backward(hidden_MC, weight_VC, labels_M, log_z)
        ctx.temperature = temperature
        return values

    @staticmethod
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_MC, weight_VC, labels_M, log_z = ctx.saved_tensors
        weight = weight_VC.to(hidden_MC.dtype)
        hidden_grad = torch.empty_like(hidden_MC) if ctx.needs_input_grad[0] else None
        weight_grad = torch.zeros_like(weight_VC, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        for start in range(0, len(labels_M), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            logits = (hidden_MC[chunk] @ weight.T).float() / ctx.temperature
            scale = grad_M[chunk, None] / ctx.temperature
            gradient = (logits - log_z[chunk, None]).exp_() * -scale
            gradient.scatter_add_(1, labels_M[chunk, None], scale)
            gradient = gradient.to(hidden_MC.dtype)
            if hidden_grad is not None:
                torch.mm(gradient, weight, out=hidden_grad[chunk])
            if weight_grad is not None:
                weight_grad += gradient.T @ hidden_MC[chunk]
        return hidden_grad, None if weight_grad is None else weight_grad.to(weight_VC.dtype), None, None
