"""How likely a model finds given continuations of given contexts.

The continuations of one context (the choices of a question) are scored in one pass: the context is run once, and each
continuation attends to it and to itself. Contexts of similar length share a batch.

Shape legend: N tokens of a batch laid end to end, G contexts of the batch, T tokens of the longest context with all its
continuations, H heads, D head width, M scored tokens, C hidden width, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.errors import UnsupportedModelError
from chatwright.model.gpt import GPT

_LOGIT_ROWS = 256  # so many rows of logits exist at once: 256 of 150,000 tokens are 154 MB in float32
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Branches:
    """A context and what may follow it.

    Attributes:
        context: token ids, at least one.
        continuations: token ids, at least one in each.
    """

    context: Sequence[int]
    continuations: Sequence[Sequence[int]]

    @property
    def longest(self) -> int:
        """Tokens of the context with its longest continuation."""
        return len(self.context) + max(len(continuation) for continuation in self.continuations)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a continuation is.

    Attributes:
        log_prob: summed over its tokens, in nats.
        num_tokens: how many they are.
        is_greedy: whether each of them is the most likely one at its place.
    """

    log_prob: float
    num_tokens: int
    is_greedy: bool


class Score(Protocol):
    """:func:`score`, its model and settings given."""

    def __call__(self, branches: Sequence[Branches], *, progress: Callable[[int], None]) -> list[list[Likelihood]]:
        """Log-likelihoods of all continuations."""
        ...


def score(
    model: GPT,
    branches: Sequence[Branches],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] = lambda done: None,
) -> list[list[Likelihood]]:
    """Log-likelihoods of all continuations.

    Args:
        model: causal, in eval mode. It is run in the dtype of its weights; probabilities are computed in float32.
        branches: contexts with their continuations.
        batch_tokens: tokens of a forward pass, padding included; a longer context has a pass of its own.
        progress: called with the number of contexts that are done.
    Returns:
        For each of ``branches`` one likelihood per continuation, in their order.
    Raises:
        UnsupportedModelError: the model attends in both directions, so no text has a likelihood.
    """
    if not model.config.causal:
        raise UnsupportedModelError(
            "this model attends in both directions, so it gives texts no likelihood; use a causal model"
        )
    laid = [_Laid.of(index, branch) for index, branch in enumerate(branches)]
    laid.sort(key=lambda item: len(item.tokens), reverse=True)  # the largest first: what does not fit fails at once
    results: list[list[Likelihood]] = [[] for _ in branches]
    start = 0
    while start < len(laid):
        count = max(1, batch_tokens // len(laid[start].tokens))
        batch = laid[start : start + count]
        with torch.no_grad():  # not inference mode, whose tensors a model in training could not use afterwards
            log_prob_M, greedy_M = _run(model, batch)
        for item in batch:
            size = len(item.targets)
            results[item.index] = item.collect(log_prob_M[:size], greedy_M[:size])
            log_prob_M, greedy_M = log_prob_M[size:], greedy_M[size:]
        start += len(batch)
        progress(start)
    return results


@dataclass(frozen=True, slots=True)
class _Laid:
    """One context and its continuations, laid end to end.

    Attributes:
        index: which of the caller's it is.
        tokens: the context, then each continuation without its last token, which nothing follows.
        positions: of each token in its own text.
        branch: which continuation each token belongs to; ``_NOWHERE`` for the context.
        rows: place in ``tokens`` whose logits predict each target.
        targets: the continuations' tokens, one continuation after the other.
        lengths: tokens of each continuation.
    """

    index: int
    tokens: list[int]
    positions: list[int]
    branch: list[int]
    rows: list[int]
    targets: list[int]
    lengths: list[int]

    @classmethod
    def of(cls, index: int, branches: Branches) -> "_Laid":
        context = len(branches.context)
        laid = cls(index, list(branches.context), list(range(context)), [_NOWHERE] * context, [], [], [])
        for number, continuation in enumerate(branches.continuations):
            first = len(laid.tokens)
            laid.rows.extend([context - 1, *range(first, first + len(continuation) - 1)])
            laid.targets.extend(continuation)
            laid.lengths.append(len(continuation))
            laid.tokens.extend(continuation[:-1])
            laid.positions.extend(range(context, context + len(continuation) - 1))
            laid.branch.extend([number] * (len(continuation) - 1))
        return laid

    @property
    def is_chain(self) -> bool:
        """Whether it is one text, in which every token sees all that precede it."""
        return len({number for number in self.branch if number != _NOWHERE}) <= 1

    def collect(self, log_probs: list[float], greedy: list[bool]) -> list[Likelihood]:
        """Values of all targets, summed by continuation."""
        found = []
        for length in self.lengths:
            found.append(Likelihood(sum(log_probs[:length]), length, all(greedy[:length])))
            log_probs, greedy = log_probs[length:], greedy[length:]
        return found


def _run(model: GPT, batch: list[_Laid]) -> tuple[list[float], list[bool]]:
    """Log-probability of every target of the batch, and whether it is the most likely token."""
    device = model.embed.weight.device
    ids_N = torch.tensor([token for item in batch for token in item.tokens], device=device)
    positions_N = torch.tensor([position for item in batch for position in item.positions], device=device)
    rows: list[int] = []
    first = 0
    for item in batch:
        rows.extend(first + row for row in item.rows)
        first += len(item.tokens)
    output = model(ids_N[None], positions=positions_N[None], attend=_BranchAttend(batch, device), num_logits=0)
    hidden_MC = output.last_hidden_state[0].index_select(0, torch.tensor(rows, device=device))
    targets_M = torch.tensor([target for item in batch for target in item.targets], device=device)
    log_probs, greedy = [], []
    for start in range(0, len(rows), _LOGIT_ROWS):
        logits = model.logits(hidden_MC[start : start + _LOGIT_ROWS]).float()
        targets = targets_M[start : start + _LOGIT_ROWS, None]
        log_probs.append(logits.gather(1, targets)[:, 0] - logits.logsumexp(dim=-1))
        greedy.append(logits.argmax(dim=-1) == targets[:, 0])
    return torch.cat(log_probs).tolist(), torch.cat(greedy).tolist()


class _BranchAttend:
    """Attention of contexts with their continuations; an :class:`~chatwright.model.attention.Attend`.

    The tokens come end to end, so that matrix products have no padding; for attention they are laid out as [G, T].

    Args:
        batch: in the order of the tokens.
        device: of the model.
    """

    def __init__(self, batch: list[_Laid], device: torch.device) -> None:
        lengths = [len(item.tokens) for item in batch]
        longest = max(lengths)
        self._shape = (len(batch), longest)
        grid = torch.zeros(self._shape, dtype=torch.int64)  # place in the batch of each cell; padding reads token 0
        back, first = [], 0
        for row, length in enumerate(lengths):
            grid[row, :length] = torch.arange(first, first + length)
            back.append(torch.arange(row * longest, row * longest + length))
            first += length
        self._grid_GT = grid.to(device)
        self._back_N = torch.cat(back).to(device)
        self._is_chain = all(item.is_chain for item in batch)
        self._branch_GT = _padded([item.branch for item in batch], longest).to(device)
        self._position_GT = _padded([item.positions for item in batch], longest).to(device)
        self._masks: dict[int | None, Tensor | None] = {}

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """See :class:`~chatwright.model.attention.Attend`; B is 1 and T is N."""
        q, k, v = (x[0][:, self._grid_GT].transpose(0, 1) for x in (q_BHTD, k_BHTD, v_BHTD))  # [G, H, T, D]
        mask = self._mask(window)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )
        return y.transpose(0, 1).flatten(1, 2)[None, :, self._back_N]

    def _mask(self, window: int | None) -> Tensor | None:
        """What each token sees, bool [G, 1, T, T]; None where plain causality says it: padding comes last."""
        if window is not None and window >= self._shape[1]:
            window = None
        if self._is_chain and window is None:
            return None
        if window not in self._masks:
            place = torch.arange(self._shape[1], device=self._grid_GT.device)
            seen = (place[:, None] >= place[None, :])[None]
            own = self._branch_GT[:, :, None] == self._branch_GT[:, None, :]
            seen = seen & (own | (self._branch_GT == _NOWHERE)[:, None, :])
            if window is not None:
                seen = seen & (self._position_GT[:, :, None] - self._position_GT[:, None, :] < window)
            self._masks[window] = seen[:, None]
        return self._masks[window]


def _padded(rows: list[list[int]], length: int) -> Tensor:
    """Rows filled up with their own last value, so that a token of padding sees itself and is finite."""
    return torch.tensor([[*row, *[row[-1]] * (length - len(row))] for row in rows])
