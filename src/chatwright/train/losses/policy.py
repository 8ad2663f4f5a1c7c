"""Learning from rewards: advantages and clipped objectives, one value for each generated token.

Shape legend: B answers, T tokens of the longest, G answers to one prompt, M generated tokens of a batch.
Log-probabilities are in nats; everything is float32.
"""

import math

import torch
from torch import Tensor


def kl_estimate(log_prob_M: Tensor, reference_M: Tensor) -> Tensor:
    """An unbiased, never negative estimate of KL(policy ‖ reference) at each sampled token, shape [M].

    Args:
        log_prob_M: of the tokens under the policy that sampled them, shape [M].
        reference_M: under the reference.
    Source:
        Shao et al. 2024, arXiv 2402.03300, eq. 4 (Schulman's third estimator).
    """
    log_ratio_M = reference_M - log_prob_M
    return torch.exp(log_ratio_M) - log_ratio_M - 1


def generalized_advantages(
    reward_BT: Tensor, value_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """How much better each token was than expected, and what the values should have been.

    Args:
        reward_BT: reward received after each token, shape [B, T].
        value_BT: expected return before each token, shape [B, T].
        mask_BT: bool [B, T], True for tokens that exist; they come first in each row. An answer is over after its
            last one: nothing is to be had beyond it.
        gamma: discount by token, in [0, 1].
        lam: 0 trusts the values, 1 the rewards.
    Returns:
        Advantages and returns, both [B, T]; 0 where the mask is False.
    Source:
        Schulman et al. 2016, arXiv 1506.02438, eq. 16.
    """
    advantage_BT = torch.zeros_like(reward_BT)
    following_B = torch.zeros_like(reward_BT[:, 0])
    next_value_B = torch.zeros_like(following_B)
    for t in range(reward_BT.shape[1] - 1, -1, -1):
        error_B = reward_BT[:, t] + gamma * next_value_B - value_BT[:, t]
        following_B = torch.where(mask_BT[:, t], error_B + gamma * lam * following_B, 0.0)
        next_value_B = torch.where(mask_BT[:, t], value_BT[:, t], 0.0)
        advantage_BT[:, t] = following_B
    return advantage_BT, torch.where(mask_BT, advantage_BT + value_BT, 0.0)


def whiten(values_M: Tensor, *, mean: float, variance: float) -> Tensor:
    """Shifted and scaled to a mean of 0 and a variance of 1.

    Args:
        values_M: the values of real tokens, without padding, shape [M].
        mean, variance: of all processes' values.
    Source:
        Huang et al. 2024, arXiv 2403.17031, detail 19.
    """
    return (values_M - mean) / math.sqrt(variance + 1e-8)


def group_advantages(reward_BG: Tensor, *, scale: Tensor | None) -> Tensor:
    """How much better each answer is than the others to its prompt, shape [B, G].

    Args:
        reward_BG: rewards of the answers, a row for each prompt.
        scale: what the differences are divided by, broadcast to [B, G], usually the standard deviation; None leaves
            them (Dr. GRPO). A group whose rewards are all equal teaches nothing: its advantages are 0.
    Source:
        Shao et al. 2024, arXiv 2402.03300, section 4.1.2; without scale: Liu et al. 2025, arXiv 2503.20783, section 3.
    """
    centred_BG = reward_BG - reward_BG.mean(dim=1, keepdim=True)
    return centred_BG if scale is None else centred_BG / (scale + 1e-4)


def clipped_policy_loss(
    log_prob_M: Tensor, old_log_prob_M: Tensor, advantage_M: Tensor, *, epsilon_low: float, epsilon_high: float
) -> tuple[Tensor, Tensor]:
    """PPO's pessimistic objective, negated, at each token.

    Args:
        log_prob_M: of the sampled tokens under the policy, shape [M].
        old_log_prob_M: under the policy that sampled them; equal in the first step, where the ratio is exactly 1.
        advantage_M: of each token.
        epsilon_low, epsilon_high: the ratio earns nothing below 1 - epsilon_low and above 1 + epsilon_high.
    Returns:
        Loss [M], and [M] with 1.0 where the clip was active, 0.0 elsewhere.
    Source:
        Schulman et al. 2017, arXiv 1707.06347, eq. 7; two epsilons: Yu et al. 2025, arXiv 2503.14476, eq. 10.
    """
    ratio_M = torch.exp(log_prob_M - old_log_prob_M)
    clipped_M = ratio_M.clamp(1 - epsilon_low, 1 + epsilon_high)
    gain_M, clipped_gain_M = ratio_M * advantage_M, clipped_M * advantage_M
    return -torch.minimum(gain_M, clipped_gain_M), (clipped_gain_M < gain_M).float()


def clipped_value_loss(value_M: Tensor, old_value_M: Tensor, return_M: Tensor, *, epsilon: float) -> Tensor:
    """Half the squared error of the values, at least that of values that moved by no more than ``epsilon``, [M].

    Args:
        value_M: predicted now, shape [M].
        old_value_M: predicted when the answers were sampled.
        return_M: what they should be.
        epsilon: > 0.
    Source:
        Huang et al. 2024, arXiv 2403.17031, detail 22.
    """
    near_M = old_value_M + (value_M - old_value_M).clamp(-epsilon, epsilon)
    return 0.5 * torch.maximum((value_M - return_M).square(), (near_M - return_M).square())
