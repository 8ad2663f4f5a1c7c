"""Preference losses where their values are known."""

import math

import pytest
import torch

from chatwright.train.losses.preference import (
    bradley_terry_loss,
    dpo_loss,
    ipo_loss,
    kto_baseline,
    kto_loss,
    log_odds_ratio,
    orpo_loss,
)

A, B = torch.tensor([-4.0, -9.0]), torch.tensor([-6.0, -7.0])


def test_dpo_is_log_2_where_policy_and_reference_agree() -> None:
    assert dpo_loss(A, B, A, B, beta=0.1).tolist() == pytest.approx([math.log(2)] * 2)


def test_dpo_of_smoothed_labels_is_a_mixture_of_both_orders() -> None:
    straight = dpo_loss(A, B, B, A, beta=0.5)
    reverse = dpo_loss(B, A, A, B, beta=0.5)
    mixed = dpo_loss(A, B, B, A, beta=0.5, label_smoothing=0.2)
    torch.testing.assert_close(mixed, 0.8 * straight + 0.2 * reverse)


def test_ipo_is_zero_at_its_target_and_not_beyond() -> None:
    beta = 0.25
    leads = torch.tensor([2.0, 3.0, 0.0])
    assert ipo_loss(leads, torch.zeros(3), beta=beta).tolist() == [0.0, 1.0, 4.0]


def test_kto_weighs_the_two_kinds() -> None:
    ratio, label = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])
    losses = kto_loss(ratio, label, torch.tensor(1.0), beta=0.3, desirable_weight=2.0, undesirable_weight=3.0)
    assert losses.tolist() == pytest.approx([1.0, 1.5])


def test_ktos_baseline_is_never_negative_and_has_no_gradient() -> None:
    ratio = torch.tensor([-3.0, 1.0], requires_grad=True)
    assert kto_baseline(ratio).item() == 0.0
    baseline = kto_baseline(-ratio)
    assert baseline.item() == 1.0
    assert not baseline.requires_grad


def test_odds_are_exact_for_probabilities_near_one_and_near_zero() -> None:
    certain, hopeless = torch.tensor([-1e-6, -40.0]), torch.tensor([-0.5, -0.5])
    expected = [
        math.log(math.exp(a) / -math.expm1(a)) - math.log(math.exp(-0.5) / -math.expm1(-0.5)) for a in (-1e-6, -40)
    ]
    assert log_odds_ratio(certain, hopeless).tolist() == pytest.approx(expected, rel=1e-5)
    extreme = torch.tensor([-0.0, -1e-30, -120.0], requires_grad=True)
    orpo_loss(extreme, torch.full((3,), -1.0), beta=0.1).sum().backward()
    assert extreme.grad is not None
    assert torch.isfinite(extreme.grad).all()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    first, second = (-torch.rand(2, 3, dtype=torch.float64) * 3).requires_grad_(True)
    label = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    for function in (
        lambda x, y: orpo_loss(x, y, beta=0.3),
        lambda x, y: bradley_terry_loss(x, y, margin_B=label, label_smoothing=0.1),
        lambda x, y: kto_loss(x + y, label, torch.tensor(0.2), beta=0.3),
    ):
        assert torch.autograd.gradcheck(function, (first, second))
