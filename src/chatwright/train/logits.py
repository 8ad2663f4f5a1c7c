"""From logits to losses and gradients: compiled loops for bfloat16 on a CPU, PyTorch's operations elsewhere.

Shape legend: R rows, V vocabulary.
"""

import torch
from torch import Tensor


def loss_and_gradient(logits_RV: Tensor, labels_R: Tensor, z_loss: float) -> tuple[Tensor, Tensor]:
    """-log p(label) + z_loss * log(Z)² of each row, float32 [R], and its gradient [R, V] in the logits' dtype.

    The logits are destroyed.
    """
    if _has_loops(logits_RV):
        from chatwright.train.cpu import functions, kernels

        losses_R = torch.empty(len(labels_R))
        functions.use_threads_of_torch()
        kernels.cross_entropy(functions.bits(logits_RV), labels_R.numpy(), z_loss, losses_R.numpy())
        return losses_R, logits_RV
    here = _places(labels_R)
    wide = logits_RV.float()
    log_z_R = torch.logsumexp(wide, dim=-1)
    losses_R = log_z_R - wide[here] + z_loss * log_z_R.square()
    gradient = wide.sub_(log_z_R[:, None]).exp_().mul_((1 + 2 * z_loss * log_z_R)[:, None])
    gradient[here] -= 1.0
    return losses_R, gradient.to(logits_RV.dtype)


def log_probs(logits_RV: Tensor, labels_R: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probability of each row's label after division by ``temperature``, and log(Z), float32 [R] each."""
    if _has_loops(logits_RV):
        from chatwright.train.cpu import functions, kernels

        values_R, log_z_R = torch.empty(len(labels_R)), torch.empty(len(labels_R))
        functions.use_threads_of_torch()
        kernels.log_probs(
            functions.bits(logits_RV), labels_R.numpy(), 1 / temperature, values_R.numpy(), log_z_R.numpy()
        )
        return values_R, log_z_R
    wide = logits_RV.float() / temperature
    log_z = torch.logsumexp(wide, dim=-1)
    return wide[_places(labels_R)] - log_z, log_z


def log_probs_gradient(
    logits_RV: Tensor, labels_R: Tensor, temperature: float, log_z_R: Tensor, grads_R: Tensor
) -> Tensor:
    """Gradient of the logits [R, V], in their dtype, where that of the log-probabilities is ``grads_R``.

    The logits are destroyed.
    """
    if _has_loops(logits_RV):
        from chatwright.train.cpu import functions, kernels

        arguments = (x.detach().contiguous().numpy() for x in (log_z_R, grads_R))
        functions.use_threads_of_torch()
        kernels.log_probs_backward(functions.bits(logits_RV), labels_R.numpy(), 1 / temperature, *arguments)
        return logits_RV
    scale_R = grads_R / temperature
    gradient = (logits_RV.float() / temperature).sub_(log_z_R[:, None]).exp_().mul_(-scale_R[:, None])
    gradient[_places(labels_R)] += scale_R
    return gradient.to(logits_RV.dtype)


def _places(labels_R: Tensor) -> tuple[Tensor, Tensor]:
    """Where the labels' logits are; by scatter_add_ the label's 1 took two thirds of a CPU's time for the loss."""
    return torch.arange(len(labels_R), device=labels_R.device), labels_R


def _has_loops(logits_RV: Tensor) -> bool:
    return logits_RV.dtype == torch.bfloat16 and logits_RV.device.type == "cpu"
