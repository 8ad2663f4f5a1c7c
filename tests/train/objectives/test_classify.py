"""Classes of texts: learned, reported, saved, opened again by us and by transformers."""

from pathlib import Path

import pytest
import torch
import transformers

from chatwright.classifier import Classifier
from chatwright.data.rows import Labelled
from chatwright.errors import ConfigError, InputError, ModelFormatError
from chatwright.model import save_model
from chatwright.model.adapters import save_adapter
from chatwright.model.lora import add_adapters
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives.classify import Classify, ClassifySettings
from chatwright.train.settings import LoRASettings
from chatwright.train.stage import Stage
from tests.train.doubles import Notes
from tests.train.objectives.steps import MakeContext, OneBatch, batch_of, train

LABELS = ("sky", "world")
ROWS = [
    Labelled(text, label)
    for text, label in (
        ("why is the sky blue", "sky"),
        ("hello world", "world"),
        ("the sky, what is it?", "sky"),
        ("who is the world", "world"),
        ("天空为什么是蓝色的？", "sky"),
        ("你好世界", "world"),
    )
]


def classify(make_context: MakeContext, **settings: object) -> Classify:
    return Classify(make_context(ClassifySettings.model_validate({"labels": LABELS} | settings)))


def saved(task: Classify, folder: Path) -> Path:
    context: StageContext = task.context
    save_model(context.model, folder)
    context.tokenizer.save(folder)
    task.save(folder)
    return folder


def test_it_learns_and_is_opened_again(make_context: MakeContext, tmp_path: Path) -> None:
    task = classify(make_context)
    batch = batch_of(task, ROWS)
    losses = train(task, batch, steps=30, learning_rate=3e-3)
    assert losses[0] > 0.4
    assert losses[-1] < 0.05
    figures = task.loss(task.context.model, batch).figures
    assert {name: float(total) / count for name, (total, count) in figures.items()} == {
        "accuracy": 1.0,
        "f1_sky": 1.0,
        "f1_world": 1.0,
    }
    opened = Classifier.open(saved(task, tmp_path / "model"))
    texts = [row.text for row in ROWS]
    answers = opened.classify(texts, batch_size=4)
    assert [answer.label for answer in answers] == [row.label for row in ROWS]
    assert sum(answers[0].probabilities.values()) == pytest.approx(1)
    with pytest.raises(InputError, match="text 1 of 2 is empty"):
        opened.classify(["hello", ""])


def test_transformers_opens_it_with_the_same_loss(make_context: MakeContext, tmp_path: Path) -> None:
    task = classify(make_context)
    folder = saved(task, tmp_path / "model")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert theirs.config.id2label == dict(enumerate(LABELS))
    encoded = [task.context.tokenizer.encode(row.text, add_bos=task.context.tokenizer.adds_bos) for row in ROWS]
    longest = max(map(len, encoded))
    ids = torch.tensor([tokens + [theirs.config.pad_token_id] * (longest - len(tokens)) for tokens in encoded])
    mask = torch.tensor([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in encoded])
    labels = torch.tensor([LABELS.index(row.label) for row in ROWS])
    expected = theirs(ids, attention_mask=mask, labels=labels)
    batch = batch_of(task, ROWS)
    ours = task.loss(task.context.model, batch).total / len(ROWS)
    torch.testing.assert_close(ours, expected.loss, atol=1e-5, rtol=1e-5)
    answers = Classifier.open(folder).classify([row.text for row in ROWS])
    probabilities = torch.tensor([list(answer.probabilities.values()) for answer in answers])
    torch.testing.assert_close(probabilities, expected.logits.softmax(-1), atol=1e-5, rtol=1e-5)


def test_adapters_and_head_survive_a_stop(make_context: MakeContext, tmp_path: Path) -> None:
    def stage() -> Stage:
        lora = {"r": 2, "lora_dropout": 0.1}
        context = make_context(ClassifySettings.model_validate({"labels": LABELS, "lora": lora, "save_steps": 2}))
        add_adapters(context.model, **lora)
        task = Classify(context)
        return Stage(
            name="classes",
            settings=context.settings,
            model=context.model,
            objective=task,
            feed=OneBatch(batch_of(task, ROWS)),
            total_steps=4,
            save_model=lambda folder: save_adapter(context.model, folder),
        )

    whole, notes = stage(), Notes()
    run_stage(whole, run=tmp_path / "run", watcher=notes)
    assert notes.warnings == []
    again = stage()
    run_stage(again, run=tmp_path / "again", resume_from=tmp_path / "run" / "checkpoint-2")
    for ours, theirs in ((again.model, whole.model), (again.objective.head, whole.objective.head)):
        assert ours is not None
        assert theirs is not None
        assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())


def test_figures_of_wrong_guesses(make_context: MakeContext) -> None:
    task = classify(make_context)
    figures = task._figures(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 1]))
    values = {name: float(total) / count for name, (total, count) in figures.items()}
    assert values == pytest.approx({"accuracy": 0.8, "f1_sky": 2 / 3, "f1_world": 6 / 7})


def test_a_frozen_body_stays_as_it_is(make_context: MakeContext) -> None:
    task = classify(make_context, freeze_body=True)
    before = {name: value.clone() for name, value in task.context.model.state_dict().items()}
    losses = train(task, batch_of(task, ROWS), steps=40, learning_rate=0.05)
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(before[name], value) for name, value in task.context.model.state_dict().items())


def test_rates_follow_what_learns() -> None:
    assert ClassifySettings(labels=LABELS).learning_rate == 2e-5
    assert ClassifySettings(labels=LABELS, freeze_body=True).learning_rate == 1e-3
    assert ClassifySettings(labels=LABELS, lora=LoRASettings()).learning_rate == 2e-4
    with pytest.raises(ValueError, match="give one of them"):
        ClassifySettings(labels=LABELS, lora=LoRASettings(), freeze_body=True)


def test_bad_labels_and_folders_are_named(make_context: MakeContext, tiny_model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="at least two classes"):
        classify(make_context, labels=["one"])
    with pytest.raises(InputError, match="'sea' is none of sky, world"):
        batch_of(classify(make_context), [Labelled("hello", "sea")])
    with pytest.raises(ModelFormatError, match="holds no classifier"):
        Classifier.open(tiny_model_dir)
