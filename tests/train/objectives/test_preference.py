"""DPO, KTO and ORPO on the training side: what they refuse, how they divide, what they learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from chatwright.chat import ChatTemplate
from chatwright.data.example import Document, Example
from chatwright.model.load import load_folder
from chatwright.model.lora import add_adapters
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.objective import Objective, StageContext
from chatwright.train.objectives import objective
from chatwright.train.objectives.kto import mismatched_answers


def made(name: str, folder: Path, tmp_path: Path, *, adapters: bool = False, **settings: Any) -> Objective:
    kind = objective(name)
    tokenizer = Tokenizer.from_folder(folder)
    model = load_folder(folder).requires_grad_(True)
    if adapters:
        add_adapters(model, r=4, seed=0)
    context = StageContext(
        settings=kind.Settings(**settings),
        model=model,
        tokenizer=tokenizer,
        template=ChatTemplate(tokenizer),
        folder=tmp_path,
        seed=0,
        device=torch.device("cpu"),
    )
    return kind(context)


def document(*ids: int, prompt: int = 2) -> Document:
    return Document(np.array(ids, np.int32), np.arange(len(ids)) >= prompt)


PAIRS = [
    Example((document(9, 8, 20, 21, 2), document(9, 8, 30, 2))),
    Example((document(9, 7, 20, 22, 23, 2), document(9, 7, 31, 32, 2))),
]
RATED = [
    Example((document(9, 8, 20, 21, 2),), {"label": 1.0}),
    Example((document(9, 8, 30, 2),), {"label": 0.0}),
    Example((document(9, 7, 7, 22, 23, 2, prompt=3),), {"label": 1.0}),
]


@pytest.mark.parametrize("name", ["dpo", "orpo", "kto"])
@pytest.mark.parametrize("adapters", [False, True])
def test_good_answers_become_likelier_than_bad_ones(
    name: str, adapters: bool, tiny_model_dir: Path, tmp_path: Path
) -> None:
    goal = made(name, tiny_model_dir, tmp_path, adapters=adapters)
    batch = Batch.of(RATED if name == "kto" else PAIRS)
    goal.prepare([batch])
    model = goal.context.model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    losses = []
    for _ in range(30):
        loss = goal.loss(model, batch)
        (loss.total / goal.items(batch)).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.total.item() / goal.items(batch))
    if name != "orpo":
        assert losses[0] == pytest.approx(np.log(2) if name == "dpo" else 0.5, abs=1e-6)  # nothing has changed yet
    assert losses[-1] < 0.9 * losses[0]
    mean = {key: float(value) / count for key, (value, count) in loss.figures.items()}
    assert mean["reward_chosen"] > mean["reward_rejected"] + 0.1


@pytest.mark.parametrize("options", [{}, {"loss_type": "ipo"}, {"precompute_ref_log_probs": False}])
def test_the_division_into_micro_batches_does_not_matter(
    options: dict[str, Any], tiny_model_dir: Path, tmp_path: Path
) -> None:
    goal = made("dpo", tiny_model_dir, tmp_path, **options)
    goal.prepare([Batch.of(PAIRS)])
    with torch.no_grad():
        goal.context.model.embed.weight += 0.05
    model = goal.context.model
    together = goal.loss(model, Batch.of(PAIRS, multiple_of=32)).total
    alone = [goal.loss(model, Batch.of([pair])).total for pair in PAIRS]
    torch.testing.assert_close(together, sum(alone))


def test_no_file_is_made_where_the_reference_is_live(tiny_model_dir: Path, tmp_path: Path) -> None:
    goal = made("dpo", tiny_model_dir, tmp_path, adapters=True)  # one pass over the data
    goal.prepare([Batch.of(PAIRS)])
    assert not list(tmp_path.iterdir())
    goal = made("dpo", tiny_model_dir, tmp_path, adapters=True, num_train_epochs=3)
    goal.prepare([Batch.of(PAIRS)])
    assert [path.name for path in tmp_path.iterdir()] == ["reference.safetensors"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("dpo", {"beta": 0}),
        ("dpo", {"loss_type": "ipo", "label_smoothing": 0.1}),
        ("dpo", {"label_smoothing": 0.5}),
        ("dpo", {"lora": {"lora_dropout": 0.1}}),
        ("kto", {"lora": {"lora_dropout": 0.1}}),
        ("orpo", {"loss_type": "sigmoid"}),
    ],
)
def test_what_has_no_effect_or_no_sense_is_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        objective(name).Settings(**settings)


def test_adapters_learn_faster_unless_told_otherwise() -> None:
    settings = objective("dpo").Settings
    assert settings().learning_rate == 1e-6
    assert settings(lora={}).learning_rate == pytest.approx(1e-5)
    assert settings(lora={}, learning_rate=2e-6).learning_rate == 2e-6


def test_each_prompt_gets_the_answer_of_the_one_before() -> None:
    mixed = mismatched_answers(Batch.of(RATED, pad_to=32), max_length=5)
    assert mixed is not None
    assert mixed.lengths == (5, 5, 5)
    assert mixed.input_ids_N.tolist() == [*(9, 8, 22, 23, 2), *(9, 8, 20, 21, 2), *(9, 7, 7, 30, 2)]
    no = IGNORED
    assert mixed.labels_N.tolist() == [*(no, 22, 23, 2, no), *(no, 20, 21, 2, no), *(no, no, 30, 2, no)]
    assert mixed.positions_N.tolist() == [0, 1, 2, 3, 4] * 3
    assert mismatched_answers(Batch.of(RATED[:1]), max_length=5) is None


def test_mismatched_answers_are_cut_to_what_the_model_holds() -> None:
    mixed = mismatched_answers(Batch.of(RATED), max_length=4)
    assert mixed is not None
    assert mixed.lengths == (4, 4, 4)
    assert mixed.labels_N[:4].tolist() == [IGNORED, 22, 23, IGNORED]


def test_what_is_given_in_an_answer_stays_given() -> None:
    """Of an answer in two turns, what others say between them is not learned, whoever's prompt it follows."""
    ids, mask = np.array([9, 8, 20, 5, 21], np.int32), np.array([False, False, True, False, True])
    two_turns = Example((Document(ids, mask),), {"label": 1.0})
    mixed = mismatched_answers(Batch.of([two_turns, RATED[2]]), max_length=64)
    assert mixed is not None
    assert mixed.labels_N[mixed.lengths[0] :].tolist() == [IGNORED, IGNORED, 20, IGNORED, 21, IGNORED]
