"""Filling in what was hidden: which tokens are, and that a model learns to tell them."""

import pytest
import torch

from chatwright.data.rows import Text
from chatwright.errors import ConfigError
from chatwright.train.batch import IGNORED
from chatwright.train.objectives import objective
from chatwright.train.objectives.masked_lm import MaskedLM, MaskedLMSettings, mask_id
from tests.train.objectives.steps import MakeContext, batch_of, train

TEXTS = [Text(text) for text in ("hello world, why is the sky blue?", "the sky is blue " * 20, "你好世界")]


@pytest.fixture
def mlm(make_context: MakeContext) -> MaskedLM:
    return MaskedLM(make_context(MaskedLMSettings(mask_probability=0.2)))


def test_it_is_found_by_its_name() -> None:
    assert objective("mlm") is MaskedLM


def test_tokens_are_hidden_in_the_usual_shares_and_control_tokens_never(mlm: MaskedLM) -> None:
    batch = batch_of(mlm, [Text("the sky is blue and the world is why " * 200)])
    hidden = mlm.hidden(batch)
    told = hidden.labels_N != IGNORED
    assert torch.equal(hidden.labels_N[told], batch.input_ids_N[told])
    assert torch.equal(hidden.input_ids_N[~told], batch.input_ids_N[~told])
    assert int(told.sum()) == pytest.approx(0.2 * batch.num_tokens, rel=0.01)
    mask = mask_id(mlm.context.tokenizer, None)
    masked = float((hidden.input_ids_N[told] == mask).float().mean())
    kept = float((hidden.input_ids_N[told] == batch.input_ids_N[told]).float().mean())
    assert masked == pytest.approx(0.8, abs=0.05)
    assert kept == pytest.approx(0.1, abs=0.04)
    special = torch.tensor(sorted(mlm.context.tokenizer.special_ids))
    assert not torch.isin(hidden.labels_N[told], special).any()


def test_what_is_hidden_depends_on_seed_step_and_text_alone(mlm: MaskedLM) -> None:
    together, alone = batch_of(mlm, TEXTS), batch_of(mlm, TEXTS[1:2])
    start = together.lengths[0]
    mlm.before_step(5)
    whole, part = mlm.hidden(together).labels_N, mlm.hidden(alone).labels_N
    assert torch.equal(whole[start : start + alone.num_tokens], part[: alone.num_tokens])
    mlm.before_step(6)
    assert not torch.equal(mlm.hidden(together).labels_N, whole)


def test_evaluation_always_asks_for_the_same_tokens(mlm: MaskedLM) -> None:
    batch, model = batch_of(mlm, TEXTS), mlm.context.model.eval()
    mlm.before_step(1)
    first = mlm.loss(model, batch).total
    mlm.before_step(2)
    assert torch.equal(mlm.loss(model, batch).total, first)


def test_it_learns_from_both_sides(mlm: MaskedLM) -> None:
    batch = batch_of(mlm, [Text("hello the sky is blue why what who")] * 4)
    losses = train(mlm, batch, steps=60, learning_rate=1e-2)
    assert sum(losses[-5:]) / 5 < 0.35 * losses[0]
    model = mlm.context.model.eval()
    ids = batch.input_ids_N[None, : batch.lengths[0]]
    before = model(ids).logits[0, 0]
    ids[0, -2] = 5
    assert not torch.equal(model(ids).logits[0, 0], before)  # the first position sees the last but one


def test_a_mask_token_must_exist(make_context: MakeContext) -> None:
    with pytest.raises(ConfigError, match="is no token of this vocabulary"):
        MaskedLM(make_context(MaskedLMSettings(mask_token="<mask>")))
