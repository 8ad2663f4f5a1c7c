"""Checkpoints: whole or not at all, and what is wrong with one is found out."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.errors import ConfigError, ModelFormatError, StorageError
from chatwright.model import load_model
from chatwright.train import checkpoint as module
from chatwright.train.checkpoint import (
    list_checkpoints,
    new_checkpoint,
    newest_checkpoint,
    open_checkpoint,
    prune,
    read_tensors,
    tidy,
    verify,
    write_tensors,
    write_values,
)
from tests.train.doubles import MadeUpFeed, Notes, make_stage, train


def write(run: Path, step: int, *, stage: str = "sft", eval_loss: float | None = None) -> Path:
    with new_checkpoint(run, step=step, stage=stage, stage_step=step, eval_loss=eval_loss) as checkpoint:
        (checkpoint.path / "inner").mkdir()
        write_values(checkpoint.path / "inner" / "values.json", {"step": step})
        write_tensors(checkpoint.path / "tensors.safetensors", {"a": torch.full((3,), step), "b": torch.tensor(1.5)})
    return run / f"checkpoint-{step}"


def names(run: Path) -> list[str]:
    return sorted(path.name for path in run.iterdir())


def test_what_is_written_is_found(tmp_path: Path) -> None:
    write(tmp_path, 9)
    path = write(tmp_path, 10, eval_loss=2.5)
    found = newest_checkpoint(tmp_path)
    assert found == open_checkpoint(path)
    assert (found.step, found.stage, found.stage_step, found.eval_loss) == (10, "sft", 10, 2.5)
    tensors = read_tensors(path / "tensors.safetensors")
    assert tensors["a"].tolist() == [10, 10, 10]
    assert tensors["b"].shape == ()
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-9"]
    assert newest_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["cut", "flip", "lose", "manifest", "half manifest"])
def test_a_damaged_one_is_passed_over(damage: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    path = write(tmp_path, 2)
    file = path / "tensors.safetensors"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-1])
    elif damage == "flip":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "lose":
        shutil.rmtree(path / "inner")
    elif damage == "manifest":
        (path / "manifest.json").unlink()
    else:
        (path / "manifest.json").write_text('{"format": 1, "files": {"inner/values.json": 3}}')
    warnings: list[str] = []
    found = newest_checkpoint(tmp_path, warnings.append)
    assert found is not None
    assert found.step == 1
    (warning,) = warnings
    assert "checkpoint-2" in warning
    assert "the checkpoint before it" in warning


def test_one_of_another_version_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(ModelFormatError, match="another version"):
        open_checkpoint(path)


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    write(tmp_path, 1, stage="pretrain", eval_loss=0.1)
    for step, loss in ((2, 3.0), (3, 2.0), (4, 2.5), (5, None), (10, 2.7)):
        write(tmp_path, step, eval_loss=loss)
    prune(tmp_path, "sft", keep=2)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-3", "checkpoint-5"]


def test_damaged_ones_do_not_count_among_the_last(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        path = write(tmp_path, step)
    (path / "manifest.json").unlink()
    prune(tmp_path, "sft", keep=2)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [1, 2]
    assert not path.exists()


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, 1)

    def fill(kind: type[BaseException], *arguments: object) -> None:
        with new_checkpoint(tmp_path, step=2, stage="sft", stage_step=2) as checkpoint:
            (checkpoint.path / "half").write_text("half")
            raise kind(*arguments)

    with pytest.raises(StorageError, match=r"checkpoint-2 cannot be written: No space left.*free some space"):
        fill(OSError, errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt):
        fill(KeyboardInterrupt)
    assert names(tmp_path) == ["checkpoint-1"]


def test_one_that_is_taken_again_replaces_the_old(tmp_path: Path) -> None:
    path = write(tmp_path, 4)
    (path / "manifest.json").unlink()
    write(tmp_path, 4)
    verify(open_checkpoint(path))
    assert names(tmp_path) == ["checkpoint-4"]


def test_a_new_start_tidies_up(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        write(tmp_path, step)
    (tmp_path / ".checkpoint-12.partial").mkdir()
    tidy(tmp_path, 6)
    assert names(tmp_path) == ["checkpoint-3", "checkpoint-6"]


def test_a_checkpoint_is_a_model_like_any_other(tmp_path: Path) -> None:
    stage = make_stage(2)
    train(stage, tmp_path)
    again = load_model(tmp_path / "checkpoint-2")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in stage.model.state_dict().items())
    # What the model's own files hold is not stored a second time.
    assert not (tmp_path / "checkpoint-2" / "training" / "weights.safetensors").exists()
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".pt", ".bin", ".pkl")]


def test_a_full_disk_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old checkpoints make room; when that does not help, the last good one stays."""
    real, full = module._flushed, {"from": 4, "calls": 0}

    def flushed(path: Path) -> dict[str, object]:
        step = int(path.relative_to(tmp_path).parts[0].split("-")[1].split(".")[0])
        if step == full["from"] and len(list_checkpoints(tmp_path)) > full["calls"]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    monkeypatch.setattr(module, "_flushed", flushed)
    notes = train(make_stage(6, save_steps=1, save_total_limit=3), tmp_path)
    assert len(notes.losses) == 6
    assert [warning.partition(":")[0] for warning in notes.warnings] == ["no checkpoint at step 4"]
    assert "checkpoint-3 is the last good one" in notes.warnings[0]
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [3, 5, 6]

    full |= {"from": 7, "calls": 1}  # room for one beside the new one
    notes = train(make_stage(8, save_steps=1, save_total_limit=3), tmp_path, resume_from=tmp_path / "checkpoint-6")
    assert not notes.warnings
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [6, 7, 8]


def test_the_best_model_is_kept_though_others_follow(tmp_path: Path) -> None:
    losses = iter([5.0, 1.0, 3.0, 2.0, 4.0, 6.0])
    stage = make_stage(6, evaluate=lambda model: {"eval_loss": next(losses)}, eval_steps=1, save_steps=1)
    notes = train(stage, tmp_path)
    assert [record["eval_loss"] for _, record in notes.saves] == [5.0, 1.0, 3.0, 2.0, 4.0, 6.0]
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [2, 5, 6]


def test_going_on_with_something_else_is_refused(tmp_path: Path) -> None:
    train(make_stage(2), tmp_path)
    path = tmp_path / "checkpoint-2"
    with pytest.raises(ConfigError, match="it cannot be gone on from"):
        train(make_stage(4, first_step=10), tmp_path, resume_from=path)
    with pytest.raises(ConfigError, match="does not fit this stage"):
        train(make_stage(4, optimizer="muon"), tmp_path, resume_from=path)
    wider = make_stage(4, config=make_stage().model.config.replace(hidden_size=32, head_dim=8))
    with pytest.raises(ConfigError, match=r"do not fit this stage: model\.embed\.weight"):
        train(wider, tmp_path, resume_from=path)


def test_a_finished_stage_can_be_finished_again(tmp_path: Path) -> None:
    stage = make_stage(4, ema_decay=0.5)
    train(stage, tmp_path)
    again = make_stage(4, ema_decay=0.5)
    notes = Notes()
    notes = train(again, tmp_path, resume_from=tmp_path / "checkpoint-4")
    assert notes.losses == []
    assert notes.results[0].steps == 4
    assert all(torch.equal(tensor, again.model.state_dict()[name]) for name, tensor in stage.model.state_dict().items())


def test_micro_batches_stay_what_they_were(tmp_path: Path) -> None:
    """Chosen anew from the memory of the day, they would round sums otherwise."""
    train(make_stage(2, gradient_accumulation_steps=4), tmp_path)
    auto = train(make_stage(4, feed=MadeUpFeed()), tmp_path, resume_from=tmp_path / "checkpoint-2")
    assert auto.starts[0].rows_per_micro_batch == 1
    said = make_stage(4, per_device_train_batch_size=2)
    assert train(said, tmp_path, resume_from=tmp_path / "checkpoint-2").starts[0].rows_per_micro_batch == 2
