"""Advantages and clipped objectives against the papers' formulas, written out in NumPy."""

import numpy as np
import pytest
import torch

from chatwright.train.losses.policy import (
    clipped_policy_loss,
    clipped_value_loss,
    generalized_advantages,
    group_advantages,
    kl_estimate,
    whiten,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.95, 0.0)])
def test_advantages_are_the_discounted_sum_of_errors(gamma: float, lam: float) -> None:
    lengths = [5, 1, 3]
    reward, value = RANDOM.normal(size=(2, 3, 5)).astype(np.float32)
    mask = np.arange(5) < np.array(lengths)[:, None]
    advantage, returns = generalized_advantages(
        torch.from_numpy(reward), torch.from_numpy(value), torch.from_numpy(mask), gamma=gamma, lam=lam
    )
    for row, length in enumerate(lengths):
        following = np.append(value[row, 1:length], 0.0)
        error = reward[row, :length] + gamma * following - value[row, :length]
        expected = [
            sum((gamma * lam) ** (later - t) * error[later] for later in range(t, length)) for t in range(length)
        ]
        np.testing.assert_allclose(advantage[row, :length], expected, rtol=1e-5, atol=1e-6)
        assert advantage[row, length:].eq(0).all()
        assert returns[row, length:].eq(0).all()
    np.testing.assert_allclose(returns[mask], (advantage + torch.from_numpy(value))[mask], rtol=1e-5)


def test_what_lies_beyond_an_answer_does_not_count() -> None:
    reward, value = torch.ones(1, 3), torch.full((1, 3), 0.5)
    mask = torch.tensor([[True, True, False]])
    padded, _ = generalized_advantages(reward, value, mask, gamma=1.0, lam=0.95)
    alone, _ = generalized_advantages(reward[:, :2], value[:, :2], mask[:, :2], gamma=1.0, lam=0.95)
    assert torch.equal(padded[:, :2], alone)


def test_groups_without_variance_teach_nothing_and_are_finite() -> None:
    rewards = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    advantages = group_advantages(rewards, scale=rewards.std(dim=1, keepdim=True))
    assert advantages[0].tolist() == [0.0, 0.0, 0.0]
    assert advantages[1].tolist() == pytest.approx([-1 / 1.0001, 0.0, 1 / 1.0001])
    assert group_advantages(rewards, scale=None)[1].tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("advantage", [1.5, -1.5])
def test_the_clipped_objective_is_the_papers(advantage: float) -> None:
    old = torch.full((7,), -2.0)
    new = (old + torch.tensor([-1.0, -0.3, -0.1, 0.0, 0.1, 0.3, 1.0])).requires_grad_(True)
    loss, clipped = clipped_policy_loss(new, old, torch.full((7,), advantage), epsilon_low=0.2, epsilon_high=0.28)
    ratio = np.exp(new.detach().numpy() + 2.0)
    expected = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.28) * advantage)
    np.testing.assert_allclose(loss.detach(), -expected, rtol=1e-6)
    loss.sum().backward()
    assert new.grad is not None
    assert new.grad.eq(0).tolist() == clipped.bool().tolist()  # beyond the clip nothing is to be gained
    assert clipped.tolist() == [0, 0, 0, 0, 0, 1, 1] if advantage > 0 else [1, 1, 0, 0, 0, 0, 0]


def test_without_a_change_the_gradient_is_that_of_the_policy_gradient() -> None:
    log_prob = torch.tensor([-1.0, -2.0], requires_grad=True)
    advantage = torch.tensor([0.7, -0.4])
    loss, clipped = clipped_policy_loss(log_prob, log_prob.detach(), advantage, epsilon_low=0.2, epsilon_high=0.2)
    loss.sum().backward()
    assert loss.tolist() == (-advantage).tolist()  # a ratio of exactly 1
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == (-advantage).tolist()
    assert clipped.tolist() == [0, 0]


def test_values_that_jump_are_held_to_the_worse_of_two_errors() -> None:
    value, old, returns = RANDOM.normal(size=(3, 20)).astype(np.float32)
    loss = clipped_value_loss(*map(torch.from_numpy, (value, old, returns)), epsilon=0.2)
    near = np.clip(value, old - 0.2, old + 0.2)
    np.testing.assert_allclose(loss, np.maximum((value - returns) ** 2, (near - returns) ** 2) / 2, rtol=1e-5)


def test_the_estimate_of_the_divergence_is_unbiased_and_never_negative() -> None:
    policy, reference = (torch.from_numpy(RANDOM.dirichlet(np.ones(6))).log() for _ in range(2))
    estimates = kl_estimate(policy, reference)
    assert estimates.min() >= 0
    exact = (policy.exp() * (policy - reference)).sum()
    torch.testing.assert_close((policy.exp() * estimates).sum(), exact)


def test_whitened_values_have_a_mean_of_zero_and_a_variance_of_one() -> None:
    values = torch.tensor([1.0, 2.0, 6.0])
    white = whiten(values, mean=3.0, variance=float(values.var()))
    assert white.mean().item() == pytest.approx(0, abs=1e-6)
    assert white.var().item() == pytest.approx(1)
    assert whiten(torch.ones(3), mean=1.0, variance=0.0).tolist() == [0, 0, 0]
