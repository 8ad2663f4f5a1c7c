"""Private fine-tuning: the arithmetic against Opacus, and a stage that keeps its budget."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opacus.accountants import RDPAccountant
from opacus.optimizers import DPOptimizer
from torch import Tensor

from chatwright.chat import ChatTemplate, Message
from chatwright.data.rows import Dialogue
from chatwright.data.store import ExampleStore
from chatwright.data.tokenize import build_store
from chatwright.errors import ConfigError
from chatwright.model import load_model
from chatwright.model.adapters import save_adapter
from chatwright.model.lora import add_adapters
from chatwright.tokenizer import Tokenizer
from chatwright.train.loop import run_stage
from chatwright.train.objective import StageContext
from chatwright.train.objectives import objective
from chatwright.train.objectives.private_sft import PrivateSFT, PrivateSFTSettings
from chatwright.train.privacy import Accountant, Noise, PoissonFeed, clipped_sum, secret_key, with_gradients
from chatwright.train.stage import Stage
from tests.train.doubles import Notes


def test_gradients_are_clipped_and_summed_as_opacus_does() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.randn(4, 3, generator=generator)), torch.nn.Parameter(torch.zeros(4))]
    inputs = torch.randn(6, 3, generator=generator) * torch.tensor([0.01, 0.1, 1, 3, 10, 0])[:, None]

    def losses() -> Iterator[Tensor]:
        for x in inputs:
            yield (weights[0] @ x + weights[1]).square().sum()

    total, sums, clipped = clipped_sum(losses(), weights, clip_norm=0.7)
    for parameter, gradients in zip(
        weights, zip(*(torch.autograd.grad(loss, weights) for loss in losses()), strict=True), strict=True
    ):
        parameter.grad_sample = torch.stack(gradients)  # type: ignore[attr-defined]
        parameter.summed_grad = None  # type: ignore[attr-defined]
    opacus = DPOptimizer(
        torch.optim.SGD(weights, lr=1.0), noise_multiplier=0.0, max_grad_norm=0.7, expected_batch_size=6
    )
    opacus.clip_and_accumulate()
    for ours, parameter in zip(sums, weights, strict=True):
        torch.testing.assert_close(ours, parameter.summed_grad)  # type: ignore[attr-defined]
    assert clipped == 3
    with_gradients(total, sums, weights).backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(parameter.grad, ours) for parameter, ours in zip(weights, sums, strict=True))


def test_noise_has_the_promised_size_and_is_the_steps_own() -> None:
    noise = Noise(noise_multiplier=1.5, clip_norm=0.5, expected_size=10, key="k")

    def drawn(step: int) -> Tensor:
        gradient = torch.zeros(20_000)
        noise.add([gradient], step)
        return gradient

    assert float(drawn(0).std()) == pytest.approx(0.075, rel=0.03)
    assert torch.equal(drawn(3), drawn(3))
    assert abs(float(torch.corrcoef(torch.stack([drawn(3), drawn(4)]))[0, 1])) < 0.05


def test_epsilon_is_that_of_opacus() -> None:
    theirs = RDPAccountant()
    theirs.history = [(1.1, 0.02, 300)]
    ours = Accountant(probability=0.02, noise_multiplier=1.1, delta=1e-5)
    assert ours.epsilon(300) == pytest.approx(theirs.get_epsilon(delta=1e-5), rel=1e-6)
    assert ours.epsilon(0) == 0 < ours.epsilon(1) < ours.epsilon(300)


def test_the_key_is_drawn_once_and_kept_from_others(tmp_path: Path) -> None:
    key = secret_key(tmp_path)
    assert secret_key(tmp_path) == key
    assert (tmp_path / "privacy.json").stat().st_mode & 0o077 == 0


@pytest.fixture
def store(tiny_model_dir: Path, tmp_path: Path) -> ExampleStore:
    """Forty short conversations."""
    words = ["hello", "world", "sky", "blue", "why"]
    rows = [
        Dialogue((Message("user", f"{words[i % 5]} {i}"), Message("assistant", words[(i * 3) % 5]))) for i in range(40)
    ]
    template = ChatTemplate(Tokenizer.from_folder(tiny_model_dir))
    encoder = PrivateSFT.encoder(PrivateSFTSettings.model_validate({"max_length": 64}), template)
    return build_store(rows, encoder, tmp_path / "store", workers=1)


def test_everybody_takes_part_with_equal_probability(store: ExampleStore) -> None:
    feed = PoissonFeed(store, expected_size=10, key="secret")
    steps = [feed.micro_batches(step)[0].index_E.tolist() for step in range(400)]
    assert steps[7] == PoissonFeed(store, expected_size=10, key="secret").micro_batches(7)[0].index_E.tolist()
    assert steps[7] != PoissonFeed(store, expected_size=10, key="other").micro_batches(7)[0].index_E.tolist()
    sizes = [len(step) for step in steps]
    assert np.mean(sizes) == pytest.approx(10, abs=0.6)
    assert np.std(sizes) == pytest.approx((40 * 0.25 * 0.75) ** 0.5, abs=0.4)
    parts = np.bincount(np.concatenate([np.array(step) for step in steps]), minlength=40) / 400
    assert np.abs(parts - 0.25).max() < 0.09


def test_a_stage_keeps_its_budget_and_says_what_it_spent(
    store: ExampleStore, tiny_model_dir: Path, tmp_path: Path
) -> None:
    settings = PrivateSFTSettings.model_validate(
        {"target_epsilon": 6.0, "delta": 1e-3, "expected_batch_size": 8, "max_steps": 6, "logging_steps": 1}
        | {"lora": {"r": 2}, "eval_steps": 6}
    )
    model = load_model(tiny_model_dir, dtype="float32")
    assert settings.lora is not None
    add_adapters(model, **settings.lora.model_dump())
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    template = ChatTemplate(tokenizer)
    goal = objective("private_sft")(
        StageContext(settings, model, tokenizer, template, tmp_path, 0, torch.device("cpu"))
    )
    feed = goal.draw(store)
    assert feed is not None
    notes = Notes()
    stage = Stage(name="private", settings=settings, model=model, objective=goal, feed=feed, total_steps=6)
    stage = replace(stage, save_model=lambda folder: save_adapter(model, folder))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run_stage(stage, run=tmp_path / "run", watcher=notes)
    spent = [float(record["epsilon"]) for record in notes.steps]
    assert spent == sorted(spent)
    assert 5.5 < spent[-1] <= 6.0
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bf16": True}, "computes in float32"),
        ({"lora": None}, "trains adapters"),
        ({"train_batch_size": 4}, "has no effect in private_sft"),
        ({"spike_threshold": 20.0}, "privacy does not allow"),
        ({"target_epsilon": None}, "without noise nothing is private"),
    ],
)
def test_settings_that_break_the_promise_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PrivateSFTSettings.model_validate(settings)


def test_a_step_of_everybody_is_refused(store: ExampleStore, tiny_model_dir: Path, tmp_path: Path) -> None:
    settings = PrivateSFTSettings.model_validate({"expected_batch_size": 41})
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    model = load_model(tiny_model_dir)
    context = StageContext(settings, model, tokenizer, ChatTemplate(tokenizer), tmp_path, 0, torch.device("cpu"))
    with pytest.raises(ConfigError, match="there are 40 conversations"):
        PrivateSFT(context).draw(store)
