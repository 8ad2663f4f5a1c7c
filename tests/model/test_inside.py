"""The view inside against a plain forward pass that keeps everything."""

import math
from collections.abc import Generator
from typing import Any

import pytest
import torch

from chatwright.errors import InvalidParameterError
from chatwright.model import GPT, ModelConfig, build_model
from chatwright.model.inside import Findings, HeadWish, Place, Wish, look_inside

SMALL = ModelConfig(61, 24, 3, 4, num_kv_heads=2, head_dim=8, initializer_range=0.3)
IDS = torch.randint(0, 61, (150,), generator=torch.Generator().manual_seed(0)).tolist()
KINDS: list[dict[str, Any]] = [
    {},
    {"position": "learned", "norm": "layer"},
    {"norm_placement": "post", "norm": "layer", "final_norm": False},
    {"norm_placement": "sandwich", "sliding_window": 7, "layer_types": ("sliding", "full", "sliding")},
]


def made(changes: dict[str, Any]) -> GPT:
    return build_model(SMALL.replace(**changes), device="cpu").eval()


def finished(work: Generator[None, None, Findings]) -> tuple[Findings, int]:
    """What was found, and in how many pieces of work."""
    with torch.inference_mode():
        pieces = 0
        while True:
            try:
                next(work)
            except StopIteration as end:
                return end.value, pieces
            pieces += 1


def check_places(places: tuple[Place, ...], logits: torch.Tensor, ids: list[int], alternatives: int) -> None:
    logprobs = logits.log_softmax(-1)
    assert len(places) == len(ids) == len(logits)
    for place, row, token in zip(places, logprobs, ids, strict=True):
        assert place.logprob == pytest.approx(row[token].item(), abs=1e-4)
        assert place.rank == row.argsort(descending=True).tolist().index(token) + 1
        assert place.entropy == pytest.approx(-(row.exp() * row).sum().item() / math.log(2), abs=1e-4)
        assert [id_ for id_, _ in place.top] == row.topk(alternatives).indices.tolist()
        assert [value for _, value in place.top] == pytest.approx(row.topk(alternatives).values.tolist(), abs=1e-4)


@pytest.mark.parametrize("changes", KINDS)
@torch.no_grad()
def test_what_is_found_is_what_a_plain_pass_has(changes: dict[str, Any]) -> None:
    model = made(changes)
    plain = model(torch.tensor([IDS]), output_hidden_states=True, output_attentions=True)
    wish = Wish(scored_from=5, alternatives=4, attention=HeadWish(1, 3, first=60, count=7), gaze=40, lens=33)
    found, pieces = finished(look_inside(model, IDS, wish))
    assert pieces > 3 + 2  # others get their turn after each layer and each slice of positions
    assert found.places is not None
    check_places(found.places, plain.logits[0, 4:-1], IDS[5:], 4)

    assert found.attention is not None
    for row, weights in enumerate(found.attention):
        assert len(weights) == 60 + row + 1
        assert weights == pytest.approx(plain.attentions[1][0, 3, 60 + row, : 61 + row].tolist(), abs=1e-5)

    assert found.gaze is not None
    for layer, heads in enumerate(found.gaze):
        for head, gaze in enumerate(heads):
            row = plain.attentions[layer][0, head, 40, :41]
            assert gaze.rest == pytest.approx(row[0].item(), abs=1e-5)
            assert gaze.position == row[1:].argmax().item() + 1
            assert gaze.weight == pytest.approx(row[1:].max().item(), abs=1e-5)

    # The last layer's lens is the model's own prediction; the others go through the same norm and head.
    assert found.lens is not None
    assert len(found.lens) == 3 + 1
    states = [state[0, 32] for state in plain.hidden_states[:3]]
    logits = model.logits(model.norm(torch.stack(states)))
    check_places(found.lens[:3], logits, [IDS[33]] * 3, 4)
    check_places(found.lens[3:], plain.logits[0, 32:33], [IDS[33]], 4)


@torch.no_grad()
def test_no_more_is_computed_than_is_needed() -> None:
    model = made({})
    plain = model(torch.tensor([IDS]), output_attentions=True)
    found, pieces = finished(look_inside(model, IDS, Wish(attention=HeadWish(0, 2, first=149, count=50))))
    assert pieces == 2  # the embedding and one layer
    assert found == Findings(attention=found.attention)
    assert found.attention is not None
    assert len(found.attention) == 1  # where the text ends
    assert found.attention[0] == pytest.approx(plain.attentions[0][0, 2, 149].tolist(), abs=1e-5)
    nothing_left, _ = finished(look_inside(model, IDS, Wish(scored_from=len(IDS))))
    assert nothing_left.places == ()
    first, _ = finished(look_inside(model, IDS, Wish(gaze=0)))
    assert first.gaze is not None
    assert first.gaze[0][0].weight == first.gaze[0][0].rest == 1


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        (Wish(scored_from=0), "scored_from"),
        (Wish(lens=0), "lens"),
        (Wish(lens=150), "lens"),
        (Wish(gaze=150), "gaze"),
        (Wish(gaze=-1), "gaze"),
        (Wish(scored_from=1, alternatives=62), "alternatives"),
        (Wish(attention=HeadWish(3, 0)), "attention.layer"),
        (Wish(attention=HeadWish(0, 4)), "attention.head"),
        (Wish(attention=HeadWish(0, 0, first=150)), "attention.first"),
        (Wish(attention=HeadWish(0, 0, count=0)), "attention.count"),
    ],
)
def test_what_is_not_there_is_named(wish: Wish, named: str) -> None:
    with pytest.raises(InvalidParameterError) as refused:
        finished(look_inside(made({}), IDS, wish))
    assert refused.value.parameter == named
