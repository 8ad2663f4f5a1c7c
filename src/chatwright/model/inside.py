"""What happens inside a GPT as it reads a text: how sure it is of each token, where it looks, what each layer says.

The work is a generator that pauses after every layer and every slice of positions, so that an engine can write other
people's tokens in between; what it returns is the finding. A finding costs one pass over the text, and less where only
a lower layer or an early position is asked for.

Shape legend: T tokens of the text, R rows (queries), C hidden width, V vocabulary, L layers, H query heads, D head
width, K alternatives.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from chatwright.errors import InvalidParameterError
from chatwright.model.attention import DenseAttend
from chatwright.model.gpt import GPT

_ROWS: Final = 64  # positions of which the head is applied at once: 64 × 150,000 logits are 38 MB


@dataclass(frozen=True, slots=True)
class HeadWish:
    """The attention of one head.

    Attributes:
        layer, head: which, from 0.
        first, count: the tokens that look, ``count`` of them from position ``first``; fewer where the text ends.
    """

    layer: int
    head: int
    first: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be found out of a text.

    Attributes:
        scored_from: position of the first token whose probability is wanted, 1 at least: the first token of a text
            follows nothing. None for no probabilities.
        alternatives: likeliest tokens told of each place.
        attention: a head.
        gaze: position of a token of which every head of every layer is asked where it looks.
        lens: position of a token that every layer is to predict, 1 at least.
    """

    scored_from: int | None = None
    alternatives: int = 8
    attention: HeadWish | None = None
    gaze: int | None = None
    lens: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A token where it stands, and what else might have stood there; logarithms are natural.

    Attributes:
        logprob: of the token.
        rank: of the token: 1 for the likeliest.
        entropy: of the distribution, in bits: how undecided the model was.
        top: the likeliest tokens with their log-probabilities, best first.
    """

    logprob: float
    rank: int
    entropy: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Gaze:
    """Where a head looks most.

    Attributes:
        position: of the token that it looks at most, the text's first one left out where there is another: heads that
            find nothing rest there.
        weight: of that token.
        rest: weight of the text's first token.
    """

    position: int
    weight: float
    rest: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What was asked for; what was not is None.

    Attributes:
        places: a :class:`Place` per token from ``scored_from`` to the end.
        attention: a row for each token that looks: the weights of all tokens up to itself.
        gaze: by layer, by head.
        lens: the prediction of the embedding alone, then of each layer: what the model would say if it ended there.
    """

    places: tuple[Place, ...] | None = None
    attention: tuple[tuple[float, ...], ...] | None = None
    gaze: tuple[tuple[Gaze, ...], ...] | None = None
    lens: tuple[Place, ...] | None = None


class WatchingAttend:
    """Dense causal attention that remembers the weights of some rows on the way.

    Args:
        wish: says which.
    """

    def __init__(self, wish: Wish) -> None:
        self.head_RT: Tensor | None = None
        self.gaze: list[tuple[Gaze, ...]] = []
        self._wish = wish
        self._dense = DenseAttend(causal=True)

    def __call__(
        self, layer: int, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, *, scale: float, window: int | None
    ) -> Tensor:
        """See :class:`chatwright.model.attention.Attend`."""
        one, gaze = self._wish.attention, self._wish.gaze
        groups = q_BHTD.shape[1] // k_BHTD.shape[1]
        if one is not None and one.layer == layer:
            rows = slice(one.first, one.first + one.count)
            self.head_RT = _weights(
                q_BHTD[0, one.head, rows], k_BHTD[0, one.head // groups], one.first, scale=scale, window=window
            )
        if gaze is not None:
            k_HTD = k_BHTD[0, :, : gaze + 1].repeat_interleave(groups, dim=0)
            weights_HT = _weights(q_BHTD[0, :, gaze : gaze + 1], k_HTD, gaze, scale=scale, window=window)[:, 0]
            self.gaze.append(_gazes(weights_HT))
        return self._dense(layer, q_BHTD, k_BHTD, v_BHTD, scale=scale, window=window)


def look_inside(model: GPT, ids: Sequence[int], wish: Wish) -> Generator[None, None, Findings]:
    """Read a text and find out what is wished. Drive it in ``torch.inference_mode``.

    Args:
        model: causal, in eval mode.
        ids: the text.
        wish: what to find out.

    Yields:
        None, after each piece of work.

    Raises:
        InvalidParameterError: the wish names a position, layer or head that there is not.
    """
    _check(model, len(ids), wish)
    time, depth = _extent(model, len(ids), wish)
    attend, lens = WatchingAttend(wish), list[Tensor]()
    ids_T = torch.tensor(ids, device=model.embed.weight.device)
    x_BTC = torch.empty(0)
    for layers_done, x_BTC in enumerate(model.residuals(ids_T[None, :time], attend)):
        if wish.lens is not None:
            lens.append(x_BTC[0, wish.lens - 1])
        yield
        if layers_done == depth:
            break
    places = None if wish.scored_from is None else (yield from _scored(model, x_BTC[0], ids_T, wish))
    return Findings(
        places=places,
        attention=None if attend.head_RT is None else _rows(attend.head_RT, wish.attention),
        gaze=None if wish.gaze is None else tuple(attend.gaze),
        lens=None if wish.lens is None else _lens(model, lens, ids_T[wish.lens], wish.alternatives),
    )


def _check(model: GPT, length: int, wish: Wish) -> None:
    config = model.config
    last = length - 1
    bounds: list[tuple[str, int | None, int, int]] = [
        ("scored_from", wish.scored_from, 1, length),  # at the end of the text nothing is left to be scored
        ("gaze", wish.gaze, 0, last),
        ("lens", wish.lens, 1, last),
        ("alternatives", wish.alternatives, 1, config.vocab_size),
    ]
    if wish.attention is not None:
        bounds += [
            ("attention.layer", wish.attention.layer, 0, config.num_layers - 1),
            ("attention.head", wish.attention.head, 0, config.num_heads - 1),
            ("attention.first", wish.attention.first, 0, last),
            ("attention.count", wish.attention.count, 1, max(length, wish.attention.count)),
        ]
    for name, value, least, most in bounds:
        if value is not None and not least <= value <= most:
            raise InvalidParameterError(name, f"{name} is {value}; here it must be between {least} and {most}")


def _extent(model: GPT, length: int, wish: Wish) -> tuple[int, int]:
    """How many tokens must be read, and by how many layers: nothing depends on what follows, or lies above."""
    ends = [1]
    if wish.scored_from is not None:
        ends.append(length)
    if wish.attention is not None:
        ends.append(min(wish.attention.first + wish.attention.count, length))
    if wish.gaze is not None:
        ends.append(wish.gaze + 1)
    if wish.lens is not None:
        ends.append(wish.lens)
    whole = wish.scored_from is not None or wish.gaze is not None or wish.lens is not None
    top = model.config.num_layers if whole else 0 if wish.attention is None else wish.attention.layer + 1
    return max(ends), top


def _scored(model: GPT, x_TC: Tensor, ids_T: Tensor, wish: Wish) -> Generator[None, None, tuple[Place, ...]]:
    assert wish.scored_from is not None
    places: list[Place] = []
    for start in range(wish.scored_from, len(ids_T), _ROWS):
        end = min(start + _ROWS, len(ids_T))
        places += _places(model, x_TC[start - 1 : end - 1], ids_T[start:end], wish.alternatives)
        yield
    return tuple(places)


def _lens(model: GPT, states: Sequence[Tensor], id_: Tensor, alternatives: int) -> tuple[Place, ...]:
    return tuple(_places(model, torch.stack(list(states)), id_.expand(len(states)), alternatives))


def _places(model: GPT, x_RC: Tensor, ids_R: Tensor, alternatives: int) -> list[Place]:
    """What follows each state by the final norm and the head; ``ids_R`` are the tokens that did follow."""
    logprobs_RV = model.logits(model.norm(x_RC)).float().log_softmax(-1)
    own_R1 = logprobs_RV.gather(1, ids_R[:, None])
    ranks_R = (logprobs_RV > own_R1).sum(-1) + 1
    entropy_R = torch.special.entr(logprobs_RV.exp()).sum(-1) / math.log(2)
    best_RK, likeliest_RK = logprobs_RV.topk(alternatives)
    rows = zip(
        own_R1[:, 0].tolist(),
        ranks_R.tolist(),
        entropy_R.tolist(),
        likeliest_RK.tolist(),
        best_RK.tolist(),
        strict=True,
    )
    return [
        Place(own, rank, entropy, tuple(zip(likeliest, best, strict=True)))
        for own, rank, entropy, likeliest, best in rows
    ]


def _weights(q_RD: Tensor, k_TD: Tensor, first: int, *, scale: float, window: int | None) -> Tensor:
    """Attention weights [..., R, T] of the rows from position ``first``; leading dimensions (heads) may be given."""
    scores_RT = (q_RD.float() @ k_TD.float().transpose(-1, -2)) * scale
    index = torch.arange(k_TD.shape[-2], device=k_TD.device)
    distance_RT = (first + index[: q_RD.shape[-2]])[:, None] - index[None, :]
    seen_RT = distance_RT >= 0
    if window is not None:
        seen_RT = seen_RT & (distance_RT < window)
    return scores_RT.masked_fill(~seen_RT, float("-inf")).softmax(-1)


def _rows(weights_RT: Tensor, wish: HeadWish | None) -> tuple[tuple[float, ...], ...]:
    assert wish is not None
    return tuple(tuple(row[: wish.first + index + 1]) for index, row in enumerate(weights_RT.tolist()))


def _gazes(weights_HT: Tensor) -> tuple[Gaze, ...]:
    rest_H = weights_HT[:, 0].tolist()
    others_HT = weights_HT[:, 1:]
    if others_HT.shape[1] == 0:
        return tuple(Gaze(0, rest, rest) for rest in rest_H)
    most_H, where_H = others_HT.max(-1)
    found = zip(where_H.tolist(), most_H.tolist(), rest_H, strict=True)
    return tuple(Gaze(where + 1, weight, rest) for where, weight, rest in found)
