"""Learning from preferences: one value for each pair or rated answer.

Shape legend: B pairs or answers. Log-probabilities are in nats, float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def bradley_terry_loss(
    chosen_B: Tensor, rejected_B: Tensor, *, margin_B: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Negative log-likelihood that the better answer wins, one value per pair.

    Args:
        chosen_B, rejected_B: rewards of the two answers, shape [B].
        margin_B: by how much the better one should lead at least, shape [B], 0 where nobody said; None: 0.
        label_smoothing: probability that the raters meant the other one; in [0, 0.5).
    Returns:
        Loss per pair, shape [B]; log(2) where the rewards are equal.
    Source:
        Ouyang et al. 2022, arXiv 2203.02155, eq. 1; the margin: Touvron et al. 2023, arXiv 2307.09288, eq. 2.
    """
    difference_B = chosen_B - rejected_B
    if margin_B is not None:
        difference_B = difference_B - margin_B
    return _log_loss(difference_B, label_smoothing)


def dpo_loss(
    policy_chosen_B: Tensor,
    policy_rejected_B: Tensor,
    reference_chosen_B: Tensor,
    reference_rejected_B: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Direct preference loss, one value per pair.

    Args:
        policy_chosen_B, policy_rejected_B: summed log-probability of each answer under the policy, shape [B].
        reference_chosen_B, reference_rejected_B: the same under the reference.
        beta: strength of the pull towards the reference; > 0, typically 0.1.
        label_smoothing: probability that the raters meant the other one; in [0, 0.5).
    Returns:
        Loss per pair, shape [B]; log(2) where policy and reference agree.
    Source:
        Rafailov et al. 2023, arXiv 2305.18290, eq. 7; smoothing: Mitchell 2023, "A note on DPO with noisy preferences".
    """
    difference_B = (policy_chosen_B - reference_chosen_B) - (policy_rejected_B - reference_rejected_B)
    return _log_loss(beta * difference_B, label_smoothing)


def ipo_loss(chosen_ratio_B: Tensor, rejected_ratio_B: Tensor, *, beta: float) -> Tensor:
    """Identity preference loss: the lead of the better answer is pulled to 1 / (2 beta), and not beyond.

    Args:
        chosen_ratio_B, rejected_ratio_B: log-ratio of policy to reference, the *mean* over the answer's tokens, shape
            [B]: summed, a long answer would need a smaller change of each token than a short one.
        beta: the paper's tau; > 0.
    Returns:
        Loss per pair, shape [B]; 1 / (4 beta²) where policy and reference agree.
    Source:
        Azar et al. 2023, arXiv 2310.12036, eq. 17.
    """
    return (chosen_ratio_B - rejected_ratio_B - 1 / (2 * beta)).square()


def kto_loss(
    ratio_B: Tensor,
    label_B: Tensor,
    baseline: Tensor,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """Prospect-theoretic loss of rated answers, one value each.

    Args:
        ratio_B: summed log-ratio of policy to reference of each answer, shape [B].
        label_B: 1 for a good answer, 0 for a bad one, shape [B].
        baseline: what an arbitrary answer's log-ratio is, from :func:`kto_baseline`; a scalar without a gradient.
        beta: strength of the pull towards the reference; > 0.
        desirable_weight, undesirable_weight: of good and of bad answers; the products of weight and number should not
            differ by more than a third.
    Returns:
        Loss per answer, shape [B]; half its weight where policy and reference agree.
    Source:
        Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8.
    """
    good_B = label_B > 0.5
    value_B = torch.sigmoid(beta * torch.where(good_B, ratio_B - baseline, baseline - ratio_B))
    weight_B = torch.where(good_B, desirable_weight, undesirable_weight)
    return weight_B * (1 - value_B)


def kto_baseline(mismatched_ratio_B: Tensor) -> Tensor:
    """How far the policy has moved from the reference: KTO's z₀, a scalar without a gradient.

    Args:
        mismatched_ratio_B: summed log-ratio of policy to reference of answers to *other* prompts, shape [B].
    Source:
        Ethayarajh et al. 2024, arXiv 2402.01306, section 4.1.
    """
    return mismatched_ratio_B.detach().mean().clamp(min=0)


def log_odds_ratio(chosen_B: Tensor, rejected_B: Tensor) -> Tensor:
    """Log of the odds of the better answer over the odds of the worse one, shape [B].

    Args:
        chosen_B, rejected_B: *mean* log-probability of each answer's tokens, shape [B], below 0. The odds of a whole
            answer would be so small that its probability cancels out of them.
    Source:
        Hong et al. 2024, arXiv 2403.07691, eq. 4 and 7.
    """
    return (chosen_B - rejected_B) - (_log1mexp(chosen_B) - _log1mexp(rejected_B))


def orpo_loss(chosen_B: Tensor, rejected_B: Tensor, *, beta: float) -> Tensor:
    """Imitation of the better answer and a penalty on the odds of the worse one, one value per pair.

    Args:
        chosen_B, rejected_B: mean log-probability of each answer's tokens, shape [B], below 0.
        beta: weight of the penalty, the paper's lambda.
    Returns:
        Loss per pair, shape [B].
    Source:
        Hong et al. 2024, arXiv 2403.07691, eq. 6.
    """
    return -chosen_B - beta * F.logsigmoid(log_odds_ratio(chosen_B, rejected_B))


def _log_loss(difference_B: Tensor, label_smoothing: float) -> Tensor:
    loss_B = -F.logsigmoid(difference_B)
    if label_smoothing:
        # -log σ(-x) is x more than -log σ(x).
        loss_B = loss_B + label_smoothing * difference_B
    return loss_B


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, by the form that loses no digits (Mächler 2012)."""
    x = x.clamp(max=-torch.finfo(x.dtype).tiny)
    near_zero = x > -0.6931472  # log(2)
    # Each form gets arguments that are safe for it: a gradient of the branch not taken must not be infinite.
    small = torch.log(-torch.expm1(torch.where(near_zero, x, -1.0)))
    large = torch.log1p(-torch.exp(torch.where(near_zero, -1.0, x)))
    return torch.where(near_zero, small, large)
