"""A student learns what a teacher finds likely."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from chatwright.chat import Message
from chatwright.data.rows import Dialogue, Row, Text
from chatwright.errors import ConfigError
from chatwright.model import GPT, ModelConfig, build_model, load_model
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.objectives import distill as module
from chatwright.train.objectives.distill import Distill, DistillSettings
from tests.train.objectives.steps import MakeContext, batch_of, train

ROWS: list[Row] = [
    Text("why is the sky blue, hello world"),
    Dialogue((Message("user", "hello"), Message("assistant", "the sky is blue"))),
    Text("你好世界"),
]


def student(tiny_model_dir: Path, make_context: MakeContext, **settings: float) -> Distill:
    """A fresh model of another shape before the tiny one as its teacher."""
    context = make_context(DistillSettings.model_validate({"teacher": str(tiny_model_dir)} | settings))
    config = ModelConfig(
        vocab_size=context.model.config.vocab_size + 3, hidden_size=24, num_layers=1, num_heads=2, intermediate_size=32
    )
    object.__setattr__(context, "model", build_model(config, seed=4))
    return Distill(context)


def written_out(model: GPT, teacher: GPT, batch: Batch, temperature: float, weight: float) -> Tensor:
    """The loss by the formula, from all logits of each document alone."""
    total = torch.zeros(())
    start = 0
    for length in batch.lengths:
        ids, labels = batch.input_ids_N[start : start + length], batch.labels_N[start : start + length]
        ours, theirs = model(ids[None]).logits[0], teacher(ids[None]).logits[0].detach()
        learned = labels != IGNORED
        soft = F.log_softmax(ours[learned, : theirs.shape[1]] / temperature, dim=-1)
        taught = F.log_softmax(theirs[learned] / temperature, dim=-1)
        divergence = F.kl_div(soft, taught, log_target=True, reduction="sum")
        cross_entropy = F.cross_entropy(ours[learned], labels[learned], reduction="sum")
        total = total + weight * temperature**2 * divergence + (1 - weight) * cross_entropy
        start += length
    return total


@pytest.mark.parametrize(("temperature", "weight"), [(2.0, 0.5), (1.0, 1.0), (3.0, 0.0)])
def test_loss_and_gradients_are_those_of_the_formula(
    temperature: float,
    weight: float,
    tiny_model_dir: Path,
    make_context: MakeContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    task = student(tiny_model_dir, make_context, temperature=temperature, teacher_weight=weight)
    model, batch = task.context.model, batch_of(task, ROWS)
    expected = written_out(model, load_model(tiny_model_dir), batch, temperature, weight)
    parameters = list(model.parameters())
    ours = task.loss(model, batch)
    torch.testing.assert_close(ours.total, expected)
    for got, wanted in zip(
        torch.autograd.grad(ours.total, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_the_student_comes_close_to_its_teacher(tiny_model_dir: Path, make_context: MakeContext) -> None:
    task = student(tiny_model_dir, make_context, teacher_weight=1.0)
    batch = batch_of(task, ROWS)
    first = float(task.loss(task.context.model, batch).figures["divergence"][0])
    train(task, batch, steps=80, learning_rate=1e-2)
    assert float(task.loss(task.context.model, batch).figures["divergence"][0]) < 0.2 * first
    assert not any(parameter.requires_grad for parameter in task.teacher.parameters())


def test_a_teacher_is_needed_and_must_speak_the_same_tokens(
    tiny_model_dir: Path, make_context: MakeContext, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="needs `teacher`"):
        Distill(make_context(DistillSettings()))
    other = tmp_path / "other"
    shutil.copytree(tiny_model_dir, other)
    text = (other / "tokenizer.json").read_text("utf-8")
    (other / "tokenizer.json").write_text(text.replace('"<|im_start|>"', '"<|turn|>"'), "utf-8")
    with pytest.raises(ConfigError, match="has another vocabulary"):
        Distill(make_context(DistillSettings(teacher=str(other))))
