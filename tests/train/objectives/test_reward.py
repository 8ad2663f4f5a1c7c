"""The reward model: where it reads, what it learns, what it leaves on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch

from chatwright.chat import ChatTemplate, Message
from chatwright.data.encode import PreferenceEncoder
from chatwright.data.example import Document, Example
from chatwright.data.rows import Preference
from chatwright.errors import ModelFormatError
from chatwright.model import save_model
from chatwright.model.load import load_folder
from chatwright.model.score_head import load_score_head
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import Batch
from chatwright.train.objective import StageContext
from chatwright.train.objectives.reward import RewardModel, RewardSettings


@pytest.fixture
def goal(tiny_model_dir: Path, tmp_path: Path) -> RewardModel:
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    context = StageContext(
        settings=RewardSettings(),
        model=load_folder(tiny_model_dir).requires_grad_(True),
        tokenizer=tokenizer,
        template=ChatTemplate(tokenizer),
        folder=tmp_path,
        seed=0,
        device=torch.device("cpu"),
    )
    made = RewardModel(context)
    torch.nn.init.normal_(made.score.weight, generator=torch.Generator().manual_seed(0))
    return made


def pair(goal: RewardModel, chosen: str, rejected: str) -> Example:
    encoder = PreferenceEncoder(goal.context.template, 64)
    row = Preference((Message("user", "hello"),), (Message("assistant", chosen),), (Message("assistant", rejected),))
    example = encoder(row)
    assert example is not None
    return example


def test_rewards_do_not_depend_on_neighbours_or_padding(goal: RewardModel) -> None:
    pairs = [pair(goal, "the sky", "why"), pair(goal, "blue", "what is the sky")]
    together = goal.loss(goal.context.model, Batch.of(pairs, pad_to=256))
    alone = [goal.loss(goal.context.model, Batch.of([one])) for one in pairs]
    assert together.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), abs=1e-6)
    assert together.figures["accuracy"][1] == 2


def test_it_learns_which_answer_is_better(goal: RewardModel) -> None:
    torch.nn.init.zeros_(goal.score.weight)
    batch = Batch.of([pair(goal, "the sky is blue", "who who who"), pair(goal, "blue sky", "who")])
    assert goal.head is not None
    optimizer = torch.optim.AdamW([*goal.context.model.parameters(), *goal.head.parameters()], lr=2e-3)
    losses = []
    for _ in range(30):
        loss = goal.loss(goal.context.model, batch)
        (loss.total / goal.items(batch)).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.total.item() / 2)
    assert losses[0] == pytest.approx(np.log(2))
    assert losses[-1] < 0.1
    assert loss.figures["accuracy"][0] == 2


def test_transformers_opens_the_folder_and_gives_the_same_rewards(goal: RewardModel, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path / "reward"
    save_model(goal.context.model, folder)
    goal.save(folder)
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert theirs.config.num_labels == 1
    # The shorter one is padded; both end with the token that ends a turn, which the tokenizer also pads with.
    documents = pair(goal, "the sky is blue", "why").documents
    pad = theirs.config.pad_token_id
    assert pad not in {int(document.ids[-1]) for document in documents}
    width = max(map(len, documents))
    ids = torch.full((2, width), pad)
    for row, document in enumerate(documents):
        ids[row, : len(document)] = torch.from_numpy(document.ids.astype(np.int64))
    with torch.no_grad():
        rewards = theirs(input_ids=ids, attention_mask=(ids != pad).long()).logits[:, 0]
        ours = goal.loss(goal.context.model, Batch.of([Example(documents)])).figures
    assert ours["reward_chosen"][0].item() == pytest.approx(rewards[0].item(), abs=1e-5)
    assert ours["reward_rejected"][0].item() == pytest.approx(rewards[1].item(), abs=1e-5)


def test_we_open_it_too(goal: RewardModel, tmp_path: Path, tiny_model_dir: Path) -> None:
    folder = tmp_path / "reward"
    save_model(goal.context.model, folder, max_shard_bytes=20_000)  # several files already
    assert len(list(folder.glob("*.safetensors"))) > 1
    goal.save(folder)
    head = load_score_head(folder)
    assert torch.equal(head.weight, goal.score.weight.detach())
    assert head.labels == ("reward",)
    body = load_folder(folder)
    for name, value in goal.context.model.state_dict().items():
        assert torch.equal(body.state_dict()[name], value)
    save_model(body, folder)  # saved again, it is no reward model any more
    assert load_folder(folder).config == body.config
    with pytest.raises(ModelFormatError, match="no classifier or reward model"):
        load_score_head(folder)


def test_a_margin_asks_for_more(goal: RewardModel) -> None:
    document = Document(np.array([5, 6, 7], np.int32))
    equal = Example((document, document), {"margin": 0.0})
    apart = Example((document, document), {"margin": 1.0})
    losses = [goal.loss(goal.context.model, Batch.of([one])).total.item() for one in (equal, apart)]
    assert losses == pytest.approx([np.log(2), np.log(1 + np.e)])
