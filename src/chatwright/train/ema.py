"""A running mean of the weights, which often predicts better than the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from chatwright.train.dtensors import fill, local


class RunningMean:
    """Exponential moving average of parameters, in float32.

    The first updates weigh more, ``min(decay, (1 + n) / (10 + n))`` for the n-th, or the mean would remember the
    untrained weights for 1 / (1 - decay) steps.

    Args:
        parameters: whose mean is kept; where they are.
        decay: of what the mean was before.

    Source:
        Polyak and Juditsky 1992; the first updates' weights are those of TensorFlow's ``ExponentialMovingAverage``.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._parameters = parameters
        self.means = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are; call after each optimiser step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        means = [local(mean) for mean in self.means.values()]
        torch._foreach_lerp_(means, [local(parameter) for parameter in self._parameters.values()], 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the parameters hold the mean."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def load(self, means: Mapping[str, Tensor], updates: int) -> None:
        """Go on from ``means`` after so many updates."""
        for name, mean in self.means.items():
            fill(mean, means[name])
        self.updates = updates

    @torch.no_grad()
    def _exchange(self) -> None:
        """Swap values, not tensors: the optimiser's and the module's views of the parameters stay valid."""
        for name, parameter in self._parameters.items():
            current = parameter.detach().clone()
            parameter.copy_(self.means[name])
            self.means[name].copy_(current)
