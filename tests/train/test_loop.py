"""The loop learns, whatever the division of its steps, and is not thrown by what can happen on the way."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.errors import ConfigError, TrainingError, TrainingStopped
from chatwright.model import GPT, MoEConfig, load_model
from chatwright.train import memory
from chatwright.train.batch import Batch
from chatwright.train.checkpoint import list_checkpoints
from chatwright.train.loop import run_stage
from chatwright.train.objective import Loss
from tests.train.doubles import CONFIG, Likelihood, MadeUpFeed, Notes, make_stage, train

MOE = CONFIG.replace(moe=MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=16))


def weights(model: GPT) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_batch_is_learned_by_heart(optimizer: str, tmp_path: Path) -> None:
    feed = MadeUpFeed(rows_per_step=2, rows_per_micro_batch=2, steps_per_epoch=1)
    stage = make_stage(60, feed=feed, optimizer=optimizer, learning_rate=2e-2, save_steps=1000)
    assert train(stage, tmp_path).losses[-1] < 0.15


# Loss after each step of this very stage, as it was when it was written down: whoever changes these changes training.
GOLDEN = {
    "adamw": [3.62971, 3.62746, 3.62355, 3.62187, 3.61110, 3.59196],
    "muon": [3.62971, 3.62681, 3.62641, 3.62196, 3.61080, 3.59093],
}


@pytest.mark.parametrize("optimizer", list(GOLDEN))
def test_the_losses_are_those_of_before(optimizer: str, tmp_path: Path) -> None:
    stage = make_stage(6, optimizer=optimizer, weight_decay=0.1, lr_scheduler_type="constant", warmup_steps=2)
    assert train(stage, tmp_path).losses == pytest.approx(GOLDEN[optimizer], abs=2e-4)


@pytest.mark.parametrize("config", [CONFIG, MOE], ids=["dense", "experts"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_micro_batches_do_not_change_what_is_learned(config: Any, optimizer: str, tmp_path: Path) -> None:
    losses = []
    for rows in (4, 3, 1):
        feed = MadeUpFeed(rows_per_micro_batch=rows)
        stage = make_stage(
            6, config=config, feed=feed, optimizer=optimizer, per_device_train_batch_size=rows, save_steps=1000
        )
        losses.append(train(stage, tmp_path / str(rows)).losses)
    assert losses[1] == pytest.approx(losses[0], abs=2e-3 if optimizer == "muon" else 1e-4)
    assert losses[2] == pytest.approx(losses[0], abs=2e-3 if optimizer == "muon" else 1e-4)


def test_the_first_update_is_the_optimizers_own(tmp_path: Path) -> None:
    """The whole step, accumulated and clipped, against PyTorch written out on one big batch."""
    settings: dict[str, Any] = {"learning_rate": 1e-2, "weight_decay": 0.3, "max_grad_norm": 0.1, "warmup_steps": 0}
    stage = make_stage(1, **settings, lr_scheduler_type="constant", per_device_train_batch_size=1)
    train(replace(stage, feed=MadeUpFeed(rows_per_micro_batch=1)), tmp_path)

    expected = make_stage(1).model
    (batch,) = MadeUpFeed(rows_per_micro_batch=4).micro_batches(0)
    expected.train()
    (Likelihood(stage.objective.context).loss(expected, batch).total / batch.num_labels).backward()
    norm = torch.nn.utils.clip_grad_norm_(expected.parameters(), 0.1)
    assert norm > 0.1
    decayed = [p for p in expected.parameters() if p.ndim == 2]
    others = [p for p in expected.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95), eps=1e-8).step()
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(stage.model.state_dict()[name], tensor, atol=2e-5, rtol=0, msg=name)


def test_records_say_what_happened(tmp_path: Path) -> None:
    notes = train(make_stage(7, first_step=100, logging_steps=3), tmp_path)
    assert [record["stage_step"] for record in notes.steps] == list(range(1, 8))
    last = notes.steps[-1]
    assert (last["stage"], last["step"], last["tokens"]) == ("made-up", 107, 7 * 4 * 32)
    assert last["epoch"] == 7 / 8
    assert last["perplexity_log2"] == pytest.approx(float(last["loss"]) / math.log(2), rel=1e-5)
    assert 0 < float(last["mfu"]) < 1
    assert notes.results[0].steps == 7
    assert notes.starts[0].rows_per_micro_batch == 4  # memory is no concern here


def nan(batch: Batch) -> Batch:
    """A batch that gives no number; the objective below knows it by its first label."""
    labels = batch.labels_N.clone()
    labels[0] = 0
    return replace(batch, labels_N=labels, values={"poison": torch.tensor([math.nan])})


class Poisoned(Likelihood):
    def loss(self, model: GPT, batch: Batch) -> Loss:
        loss = super().loss(model, batch)
        poison = batch.values.get("poison")
        return loss if poison is None else Loss(loss.total * poison[0])


def test_a_loss_that_is_no_number_is_skipped_and_named(tmp_path: Path) -> None:
    """The model is left as if the step had not been."""
    feed = MadeUpFeed(broken={3: nan})
    settings: dict[str, Any] = {"per_device_train_batch_size": 2, "lr_scheduler_type": "constant", "warmup_steps": 0}
    broken = make_stage(4, feed=feed, objective=Poisoned, **settings)
    notes = train(broken, tmp_path / "broken")
    whole = make_stage(3, **settings)
    train(whole, tmp_path / "whole")
    for name, tensor in weights(whole.model).items():
        assert torch.equal(tensor, broken.model.state_dict()[name]), name
    (skip,) = notes.skips
    assert (skip["step"], skip["reason"], skip["examples"]) == (4, "the loss is nan", "300, 301, 302, 303")
    assert "loss" not in skip
    assert [record["step"] for record in notes.steps] == [1, 2, 3]
    assert notes.results[0].skipped_steps == 1


def test_a_spike_is_skipped(tmp_path: Path) -> None:
    feed = MadeUpFeed(broken={40: lambda batch: replace(batch, values={"poison": torch.tensor([50.0])})})
    stage = make_stage(41, feed=feed, objective=Poisoned, save_steps=1000)
    (skip,) = train(stage, tmp_path).skips
    assert "far from its median" in str(skip["reason"])
    calm = make_stage(41, feed=feed, objective=Poisoned, save_steps=1000, spike_threshold=None)
    assert not train(calm, tmp_path / "calm").skips


def test_too_many_bad_steps_in_a_row_end_the_run(tmp_path: Path) -> None:
    feed = MadeUpFeed(broken={1: nan, 3: nan, 4: nan, 5: nan})
    notes = Notes()
    with pytest.raises(TrainingError, match=r"stopped at step 6: the loss is nan, and 3 steps in a row .* 500, 501"):
        run_stage(make_stage(8, feed=feed, objective=Poisoned, max_skipped_steps=2), run=tmp_path, watcher=notes)
    assert [skip["step"] for skip in notes.skips] == [2, 4, 5, 6]


def test_a_stage_in_which_no_step_was_taken_has_not_succeeded(tmp_path: Path) -> None:
    feed = MadeUpFeed(broken=dict.fromkeys(range(2), nan))
    with pytest.raises(TrainingError, match="all 2 steps were refused"):
        train(make_stage(2, feed=feed, objective=Poisoned), tmp_path)


def test_memory_that_does_not_suffice_halves_the_micro_batch(tmp_path: Path) -> None:
    class Hungry(Likelihood):
        def loss(self, model: GPT, batch: Batch) -> Loss:
            loss = super().loss(model, batch)
            if batch.num_tokens > 32:
                loss.total.backward()  # gradients of the failed attempt must not be kept
                raise torch.OutOfMemoryError("CUDA out of memory")
            return loss

    hungry = make_stage(3, objective=Hungry)
    notes = train(hungry, tmp_path / "hungry")
    assert [warning.partition(";")[0] for warning in notes.warnings] == ["memory did not suffice"] * 2
    modest = make_stage(3, per_device_train_batch_size=1, feed=MadeUpFeed(rows_per_micro_batch=1))
    assert notes.losses == train(modest, tmp_path / "modest").losses

    with pytest.raises(TrainingError, match="gradient_checkpointing"):
        train(make_stage(3, objective=Hungry, per_device_train_batch_size=2), tmp_path / "fixed")


def test_micro_batches_are_made_for_the_memory_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 600_000)
    assert train(make_stage(1), tmp_path / "little").starts[0].rows_per_micro_batch == 1
    assert train(make_stage(1, gradient_accumulation_steps=2), tmp_path / "said").starts[0].rows_per_micro_batch == 2


def test_activations_computed_again_give_the_same_gradients(tmp_path: Path) -> None:
    config = CONFIG.replace(dropout=0.2)
    plain = train(make_stage(4, config=config), tmp_path / "plain")
    again = train(make_stage(4, config=config, gradient_checkpointing=True), tmp_path / "again")
    assert again.losses == plain.losses


def test_activations_computed_again_are_not_kept() -> None:
    from chatwright.train.blocks import running_blocks

    def kept(recompute: bool) -> int:
        stage = make_stage(1)
        (batch,) = MadeUpFeed(rows_per_micro_batch=4).micro_batches(0)
        own = {parameter.data_ptr() for parameter in stage.model.parameters()}
        sizes: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.data_ptr() not in own:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with running_blocks(stage.model, recompute=recompute, compiled=False):
            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                loss = stage.objective.loss(stage.model, batch)
            del loss
        return sum(sizes.values())

    assert kept(recompute=True) < kept(recompute=False) / 4


def test_evaluation_does_not_disturb_the_training(tmp_path: Path) -> None:
    def evaluate(model: GPT) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        return {"eval_loss": float(torch.rand(()))}

    config = CONFIG.replace(dropout=0.3)
    notes = train(make_stage(6, config=config, evaluate=evaluate, eval_steps=2), tmp_path / "watched")
    assert [record["stage_step"] for record in notes.evaluations] == [2, 4, 6]
    assert notes.losses == train(make_stage(6, config=config), tmp_path / "alone").losses
    assert notes.results[0].best_eval_loss == min(float(record["eval_loss"]) for record in notes.evaluations)


def test_early_stopping_keeps_the_best_model(tmp_path: Path) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    seen: list[dict[str, torch.Tensor]] = []

    def evaluate(model: GPT) -> dict[str, float]:
        seen.append(weights(model))
        return {"eval_loss": next(losses)}

    stage = make_stage(20, evaluate=evaluate, eval_steps=2, save_steps=1000, early_stopping_patience=2)
    (result,) = train(stage, tmp_path).results
    assert (result.steps, result.stopped_early, result.best_eval_loss) == (8, True, 2.0)
    assert all(torch.equal(tensor, stage.model.state_dict()[name]) for name, tensor in seen[1].items())


def test_early_stopping_needs_something_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="held-out data"):
        train(make_stage(2, early_stopping_patience=1), tmp_path)
    with pytest.raises(ConfigError, match="eval_loss"):
        train(make_stage(2, early_stopping_patience=1, evaluate=lambda model: {"accuracy": 1.0}), tmp_path)


def test_the_running_mean_is_the_result(tmp_path: Path) -> None:
    trail: list[dict[str, torch.Tensor]] = []
    evaluated: list[dict[str, torch.Tensor]] = []

    class Trailing(Likelihood):
        def after_step(self, model: GPT, step: int) -> None:
            trail.append(weights(model))

    def evaluate(model: GPT) -> dict[str, float]:
        evaluated.append(weights(model))
        return {"eval_loss": 1.0}

    start = weights(make_stage(1).model)
    stage = make_stage(5, objective=Trailing, ema_decay=0.3, evaluate=evaluate, eval_steps=5)
    train(stage, tmp_path)
    for name, mean in start.items():
        for number, after in enumerate(trail):
            decay = min(0.3, (1 + number) / (10 + number))
            mean = decay * mean + (1 - decay) * after[name]
        torch.testing.assert_close(stage.model.state_dict()[name], mean, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(evaluated[0][name], mean, atol=1e-6, rtol=1e-5)
    saved = load_model(tmp_path / "checkpoint-5").state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in trail[-1].items())


def test_bfloat16_learns_in_float32(tmp_path: Path) -> None:
    """Steps of a thousandth of a weight vanish in bfloat16 itself."""
    seen: list[torch.dtype] = []

    class Looking(Likelihood):
        def loss(self, model: GPT, batch: Batch) -> Loss:
            seen.append(model.embed.weight.dtype)
            return super().loss(model, batch)

    stage = make_stage(40, objective=Looking, bf16="auto", learning_rate=1e-4, warmup_steps=0, save_steps=1000)
    if train(stage, tmp_path / "low").starts[0].dtype != "bfloat16":
        pytest.skip("this machine does not multiply in bfloat16")
    assert set(seen) == {torch.bfloat16}
    assert stage.model.embed.weight.dtype == torch.float32
    full = make_stage(40, learning_rate=1e-4, warmup_steps=0, save_steps=1000)
    train(full, tmp_path / "full")
    moved = full.model.embed.weight - make_stage(1).model.embed.weight
    difference = stage.model.embed.weight - full.model.embed.weight
    assert float((difference.norm() / moved.norm()).detach()) < 0.25


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path) -> None:
    class Asking(Likelihood):
        def after_step(self, model: GPT, step: int) -> None:
            if step == 3:
                os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match=rf"{number.name} after step 3; checkpoint-3 is saved .*--resume"):
        train(make_stage(8, objective=Asking, save_steps=1000), tmp_path)
    assert signal.getsignal(number) == before
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [3]


def test_nothing_to_learn(tmp_path: Path) -> None:
    stage = make_stage(2)
    stage.model.requires_grad_(False)
    with pytest.raises(ConfigError, match="nothing can be learned"):
        train(stage, tmp_path)
    with pytest.raises(ConfigError, match="no steps"):
        train(replace(make_stage(), total_steps=0), tmp_path)


def test_muon_without_a_matrix_is_refused(tmp_path: Path) -> None:
    stage = make_stage(2, optimizer="muon")
    stage.model.layers.requires_grad_(False)
    with pytest.raises(ConfigError, match="use optimizer: adamw"):
        train(stage, tmp_path)
