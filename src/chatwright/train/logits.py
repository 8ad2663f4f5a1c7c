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
    labels = labels_R[:, None]
    wide = logits_RV.float()
    log_z = torch.logsumexp(wide, dim=-1, keepdim=True)
    losses = log_z - wide.gather(1, labels) + z_loss * log_z.square()
    stretch = 1 + 2 * z_loss * log_z
    gradient = wide.sub_(log_z).exp_().mul_(stretch)
    gradient.scatter_add_(1, labels, torch.full_like(log_z, -1.0))
    return losses.squeeze(1), gradient.to(logits_RV.dtype)


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
    return wide.gather(1, labels_R[:, None]).squeeze(1) - log_z, log_z


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
    scale = grads_R[:, None] / temperature
    gradient = (logits_RV.float() / temperature).sub_(log_z_R[:, None]).exp_().mul_(-scale)
    gradient.scatter_add_(1, labels_R[:, None], scale)
    return gradient.to(logits_RV.dtype)


def _has_loops(logits_RV: Tensor) -> bool:
    return logits_RV.dtype == torch.bfloat16 and logits_RV.device.type == "cpu"
