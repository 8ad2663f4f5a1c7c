"""A run that was stopped goes on as if it had not been: the same losses and weights, bit for bit."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chatwright.model import GPT, MoEConfig
from chatwright.model.adapters import save_adapter
from chatwright.model.lora import add_adapters
from chatwright.train.batch import Batch
from chatwright.train.objective import Loss, StageContext
from chatwright.train.stage import Stage
from tests.train.doubles import CONFIG, Likelihood, MadeUpFeed, make_stage, train

ROOT = Path(__file__).parents[2]
DROPOUT = CONFIG.replace(dropout=0.2)
MOE = DROPOUT.replace(moe=MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=16))


class Counting(nn.Module):
    """A number that is learned, and one that is counted up."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.register_buffer("count", torch.zeros(()))

    def forward(self) -> Tensor:
        self.count += 1
        return self.weight.float() * self.count


class Headed(Likelihood):
    """Learns something beside the model."""

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.head = Counting()

    def loss(self, model: GPT, batch: Batch) -> Loss:
        assert self.head is not None
        loss = super().loss(model, batch)
        return Loss(loss.total + self.head().square().sum(), loss.figures)


class Rollouts(MadeUpFeed):
    """What comes next depends on what was drawn before."""

    def __init__(self) -> None:
        super().__init__(steps_per_epoch=None)
        self.drawn = torch.zeros((), dtype=torch.int64)

    def with_micro_batch(self, rows: int) -> "Rollouts":
        return self

    def micro_batches(self, step: int) -> Any:
        self.drawn = self.drawn + torch.randint(1, 100, ())
        return super().micro_batches(int(self.drawn))

    def state(self) -> dict[str, Tensor]:
        return {"drawn": self.drawn}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self.drawn = state["drawn"]


def with_adapters() -> Stage:
    stage = make_stage(6, config=DROPOUT, save_steps=2, save_total_limit=9, ema_decay=0.5, bf16="auto")
    stage.model.requires_grad_(False)
    add_adapters(stage.model, r=2, lora_alpha=4.0, lora_dropout=0.1, seed=3)
    return replace(stage, save_model=lambda folder: save_adapter(stage.model, folder))


def plain(**settings: Any) -> Callable[[], Stage]:
    return lambda: make_stage(6, save_steps=2, save_total_limit=9, **{"config": DROPOUT} | settings)


STAGES: dict[str, Callable[[], Stage]] = {
    "adamw": plain(),
    "muon": plain(optimizer="muon", weight_decay=0.1),
    "experts": plain(config=MOE, optimizer="muon"),
    "bfloat16": plain(bf16="auto", optimizer="muon"),
    "running mean": plain(ema_decay=0.9),
    "computed again": plain(gradient_checkpointing=True),
    "early stopping": plain(
        evaluate=lambda model: {"eval_loss": float(model.embed.weight.std())},
        eval_steps=1,
        early_stopping_patience=3,
    ),
    "adapters": with_adapters,
    "head": plain(objective=Headed, bf16="auto"),
    "rollouts": lambda: make_stage(6, feed=Rollouts(), config=DROPOUT, save_steps=2, save_total_limit=9),
}


@pytest.mark.parametrize("name", list(STAGES))
def test_going_on_in_the_middle(name: str, tmp_path: Path) -> None:
    whole = STAGES[name]()
    notes = train(whole, tmp_path)
    torch.manual_seed(12345)
    rest = STAGES[name]()
    rest_notes = train(rest, tmp_path, resume_from=tmp_path / "checkpoint-2")
    assert rest_notes.starts[0].stage_step == 2
    assert rest_notes.losses == notes.losses[2:]
    assert [record["tokens"] for record in rest_notes.steps] == [record["tokens"] for record in notes.steps[2:]]
    for key, tensor in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[key], tensor), key
    assert rest_notes.results[0].best_eval_loss == notes.results[0].best_eval_loss


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Also while a checkpoint is written, renamed or removed. Slow (15 s), since training is started 20 times."""
    settings = [{"optimizer": "adamw", "ema_decay": 0.9}, {"optimizer": "muon", "bf16": "auto"}]
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.killed", json.dumps(settings), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pairs = json.loads(done.stdout.splitlines()[-1])
    assert len(pairs) == len(settings)
    for whole, torn in pairs:
        assert torn["kills"] == 9
        assert torn["weights"] == whole["weights"]
        assert torn["losses"].keys() == whole["losses"].keys()
        for step, losses in torn["losses"].items():
            assert set(losses) == set(whole["losses"][step]), step
        assert any(len(losses) > 1 for losses in torn["losses"].values())  # steps were taken again
