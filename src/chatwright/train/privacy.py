"""Differential privacy: what one conversation contributed to a model cannot be told from the model.

A step takes each conversation with equal probability, clips the gradient of each one to the same norm, adds normal
noise to their sum, and only then moves the weights. Opacus' accountant says what all steps together give away.

The guarantee is about the weights, and about single conversations: a person who wrote ten of them is protected ten
times less. The recorded losses are those of the training data itself; whoever gets the model should not get them.
Sampling and noise come from a secret key that is drawn when the stage begins and kept in its folder, so that a stopped
run goes on exactly; they are numbers of ordinary generators, in floating point, not of a cryptographic one.

Source:
    Abadi et al. 2016, arXiv 1607.00133, algorithm 1; Mironov et al. 2019, arXiv 1908.10530 (the accountant).
"""

import hashlib
import json
import os
import secrets
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function

from chatwright.data.store import ExampleStore
from chatwright.errors import ChatwrightError, StorageError
from chatwright.train.batch import Batch

KEY_FILE = "privacy.json"
EXPECTED = "expected_size"  # of a private step: what its sum is divided by, whatever was drawn
_TINY = 1e-6  # keeps a gradient of nothing from being divided by nothing


class PoissonFeed:
    """A :class:`~chatwright.train.feed.Feed` in which every example takes part in every step with equal probability.

    So a step has more or fewer examples than expected, now and then none; that is what the accountant assumes.

    Args:
        store: the examples.
        expected_size: examples in a step, on average.
        key: decides who takes part, together with the step; see :func:`secret_key`.
    """

    def __init__(self, store: ExampleStore, *, expected_size: int, key: str) -> None:
        self._store = store
        self._expected_size = expected_size
        self._key = key
        self.probability = expected_size / len(store)
        self.steps_per_epoch = max(1, round(len(store) / expected_size))

    def micro_batches(self, step: int) -> Sequence[Batch]:
        """The examples of a step, as one batch: their gradients are taken one by one in any case."""
        random = np.random.default_rng(_seed(self._key, "sample", step))
        chosen = np.flatnonzero(random.random(len(self._store)) < self.probability).tolist()
        value = {EXPECTED: torch.tensor(float(self._expected_size))}
        if not chosen:
            nothing = torch.zeros(0, dtype=torch.int64)
            return [Batch(nothing, nothing, nothing, (), 1, nothing, value)]
        batch = Batch.of([self._store[index] for index in chosen], index=chosen)
        return [Batch(batch.input_ids_N, batch.labels_N, batch.positions_N, batch.lengths, 1, batch.index_E, value)]

    def state(self) -> dict[str, Tensor]:
        """Nothing: the step says it all."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Nothing to do."""


def clipped_sum(
    losses: Iterator[Tensor], parameters: Sequence[Tensor], *, clip_norm: float
) -> tuple[Tensor, list[Tensor], int]:
    """The sum of the losses' gradients, each clipped.

    Args:
        losses: of one example each, with a graph; made as they are asked for, one at a time.
        parameters: what the gradients are of.
        clip_norm: longest gradient of an example, over all parameters together.
    Returns:
        The sum of the losses, the sums of the gradients in float32, and how many gradients were longer.
    """
    sums = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in parameters]
    total, clipped = torch.zeros((), device=sums[0].device), 0
    for loss in losses:
        gradients = [gradient.float() for gradient in torch.autograd.grad(loss, parameters)]
        norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])))
        torch._foreach_add_(sums, gradients, alpha=min(1.0, clip_norm / (norm + _TINY)))
        total += loss.detach()
        clipped += norm > clip_norm
    return total, sums, clipped


def with_gradients(value: Tensor, gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """``value`` as a loss whose backward pass gives the parameters these gradients."""
    carried: Tensor = _Carried.apply(value, len(gradients), *gradients, *parameters)  # type: ignore[no-untyped-call]
    return carried


class Noise:
    """Normal noise for the gradients of a step; equal for the same key and step.

    Args:
        noise_multiplier: its standard deviation in units of the clipping norm.
        clip_norm: see :func:`clipped_sum`.
        expected_size: what the sum of the gradients has been divided by.
        key: see :func:`secret_key`.
    """

    def __init__(self, *, noise_multiplier: float, clip_norm: float, expected_size: int, key: str) -> None:
        self._deviation = noise_multiplier * clip_norm / expected_size
        self._key = key

    def add(self, gradients: Sequence[Tensor], step: int) -> None:
        """Add to each of the gradients, in place."""
        seed = int.from_bytes(_seed(self._key, "noise", step)[:2].tobytes(), "little") % 2**63
        generator = torch.Generator().manual_seed(seed)
        for gradient in gradients:
            gradient += torch.randn(gradient.shape, generator=generator).to(gradient.device) * self._deviation


class Accountant:
    """What the model gives away, by Opacus' accountant of Rényi differential privacy.

    Args:
        probability: with which an example takes part in a step.
        noise_multiplier: see :class:`Noise`.
        delta: probability with which the bound may fail.
    """

    def __init__(self, *, probability: float, noise_multiplier: float, delta: float) -> None:
        self._analysis = _opacus("accountants.analysis.rdp")
        self._orders = _opacus("accountants").RDPAccountant.DEFAULT_ALPHAS
        # The privacy loss of a step; that of n steps is n times it.
        self._of_a_step = np.asarray(
            self._analysis.compute_rdp(q=probability, noise_multiplier=noise_multiplier, steps=1, orders=self._orders)
        )
        self._delta = delta

    def epsilon(self, steps: int) -> float:
        """The bound after so many steps."""
        if not steps:
            return 0.0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the best order is at an end of the table: the bound still holds
            spent, _ = self._analysis.get_privacy_spent(
                orders=self._orders, rdp=self._of_a_step * steps, delta=self._delta
            )
        return float(spent)


def noise_for(*, target_epsilon: float, delta: float, probability: float, steps: int) -> float:
    """The smallest noise multiplier that keeps ``steps`` steps within ``target_epsilon``, by Opacus."""
    utils = _opacus("accountants.utils")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = utils.get_noise_multiplier(
            target_epsilon=target_epsilon, target_delta=delta, sample_rate=probability, steps=steps, accountant="rdp"
        )
    return float(found)


def secret_key(folder: Path) -> str:
    """The key of a stage: drawn once, then read from its folder.

    Raises:
        StorageError: the folder cannot be read or written.
    """
    path = folder / KEY_FILE
    try:
        if path.is_file():
            return str(json.loads(path.read_text("utf-8"))["key"])
        key = secrets.token_hex(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"key": key}, file)
    except (OSError, ValueError, KeyError) as error:
        raise StorageError(f"{path} cannot be used: {error}; remove it and start the stage anew") from None
    return key


def _seed(key: str, purpose: str, step: int) -> Any:
    return np.frombuffer(hashlib.sha256(f"{key} {purpose} {step}".encode()).digest(), np.uint32)


def _opacus(module: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(f"opacus.{module}")
    except ImportError:
        raise ChatwrightError("private training needs Opacus: pip install 'chatwright[dp]'") from None


class _Carried(Function):
    """A number with gradients that were computed elsewhere."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, count: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[:count])
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        return (None, None, *(None,) * len(gradients), *(gradient * grad for gradient in gradients))
