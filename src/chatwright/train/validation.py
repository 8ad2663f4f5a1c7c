"""How well a model does on held-out data: loss, bits per byte, and the objective's own figures."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from chatwright.model import GPT
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.objective import Objective
from chatwright.train.world import SingleProcess, World


class Validation:
    """Held-out batches, and the objective that is evaluated on them.

    Args:
        objective: of the stage.
        batches: of held-out data, always the same; laid on the model's device one at a time.
        tokenizer: where the loss is one of text, whose bytes are counted; None: no bits per byte.
        world: the processes, each with batches of its own; the figures are those of all of them.
    """

    def __init__(
        self, objective: Objective, batches: Sequence[Batch], tokenizer: Tokenizer | None, world: World | None = None
    ) -> None:
        self._world = world or SingleProcess()
        self._objective = objective
        self._batches = batches
        self._bytes_of = None if tokenizer is None else token_lengths(tokenizer)

    @torch.no_grad()
    def measure(self, model: GPT) -> dict[str, float]:
        """``eval_loss``, ``eval_NAME`` for each of the objective's figures, and of text ``eval_bits_per_byte``.

        Bits per byte compare models with different tokenizers: the loss of the text in bits over its length in UTF-8.

        Args:
            model: in eval mode.
        """
        total = items = num_bytes = 0.0
        figures: dict[str, tuple[float, float]] = {}
        for batch in self._batches:
            on_device = batch.to(model.embed.weight.device)
            loss = self._objective.loss(model, on_device)
            total += float(loss.total)
            items += self._objective.items(batch)
            for name, (value, count) in loss.figures.items():
                before = figures.get(name, (0.0, 0.0))
                figures[name] = (before[0] + float(value), before[1] + count)
            if self._bytes_of is not None:
                num_bytes += float(self._bytes_of[batch.labels_N[batch.labels_N != IGNORED]].sum())
        total, items, num_bytes, *parts = self._over_all([total, items, num_bytes, *itertools.chain(*figures.values())])
        figures = dict(zip(figures, zip(parts[0::2], parts[1::2], strict=True), strict=True))
        if not items:
            return {}
        measured = {"eval_loss": total / items}
        if num_bytes:
            measured["eval_bits_per_byte"] = total / math.log(2) / num_bytes
        return measured | {f"eval_{name}": value / count for name, (value, count) in figures.items() if count}

    def _over_all(self, values: list[float]) -> list[float]:
        summed: list[float] = self._world.sum(torch.tensor(values, dtype=torch.float64)).tolist()
        return summed


def token_lengths(tokenizer: Tokenizer) -> Tensor:
    """UTF-8 bytes that each token stands for, int64 [V]; control tokens stand for none."""
    control = tokenizer.special_ids
    sizes = [0 if id_ in control else len(tokenizer.token_bytes(id_)) for id_ in range(tokenizer.vocab_size)]
    return torch.tensor(sizes)
