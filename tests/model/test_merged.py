"""An adapter merged into a folder that every command opens."""

import shutil
from pathlib import Path

import pytest
import torch

from chatwright.errors import ConfigError
from chatwright.model import load_model
from chatwright.model.adapters import save_adapter
from chatwright.model.lora import adapted_modules, add_adapters
from chatwright.model.merged import merged_folder
from tests.conftest import Run

IDS = torch.arange(3, 30)[None]


def made(base: Path, folder: Path, *, names_base: bool = True) -> torch.Tensor:
    """Write an adapter that does something; the logits with it."""
    model = load_model(base)
    add_adapters(model, r=2)
    for module in adapted_modules(model).values():
        module.lora_B.data.fill_(0.05)
    save_adapter(model, folder, base=str(base) if names_base else None)
    logits: torch.Tensor = model(IDS).logits.detach()
    return logits


def test_it_computes_what_model_and_adapter_compute(tiny_model_dir: Path, tmp_path: Path) -> None:
    expected = made(tiny_model_dir, tmp_path / "adapter")
    folder = merged_folder(tmp_path / "adapter")
    torch.testing.assert_close(load_model(folder)(IDS).logits, expected, atol=1e-4, rtol=1e-4)
    assert (folder / "tokenizer.json").read_bytes() == (tiny_model_dir / "tokenizer.json").read_bytes()


def test_it_is_made_once_for_the_same_content(tiny_model_dir: Path, tmp_path: Path) -> None:
    made(tiny_model_dir, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = merged_folder(tmp_path / "one")
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert merged_folder(tmp_path / "two", tiny_model_dir) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before


def test_the_commands_take_an_adapter(tiny_model_dir: Path, tmp_path: Path, run: Run) -> None:
    expected = made(tiny_model_dir, tmp_path / "adapter")
    out = tmp_path / "out"
    result = run("export", str(tiny_model_dir), "--adapter", str(tmp_path / "adapter"), "--out", str(out))
    assert result.exit_code == 0, result.output
    torch.testing.assert_close(load_model(out)(IDS).logits, expected, atol=1e-4, rtol=1e-4)


def test_an_adapter_without_a_model_says_so(tiny_model_dir: Path, tmp_path: Path) -> None:
    made(tiny_model_dir, tmp_path, names_base=False)
    with pytest.raises(ConfigError, match="give the model too"):
        merged_folder(tmp_path)
