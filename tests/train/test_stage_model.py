"""The model that a stage trains: taken from elsewhere, grown, with adapters merged."""

from pathlib import Path

import pytest
import torch

from chatwright.errors import ConfigError
from chatwright.model import load_model
from chatwright.model.adapters import save_adapter
from chatwright.model.lora import adapted_modules, add_adapters
from chatwright.tokenizer import Tokenizer
from chatwright.train.recipe import ModelSettings
from chatwright.train.stage_model import first_model

IDS = torch.arange(3, 40)[None]


def opened(folder: Path, **settings: object) -> torch.nn.Module:
    values = ModelSettings.model_validate({"from": str(folder)} | settings)
    return first_model(values, Tokenizer.from_folder(folder), seed=0, device=torch.device("cpu"))


def test_a_grown_model_starts_from_what_it_knew(tiny_model_dir: Path) -> None:
    before = load_model(tiny_model_dir, dtype="float32")
    vocab = before.config.vocab_size
    grow = {"add_layers": 1, "intermediate_size": 96, "widen": 2, "vocab_size": vocab + 8}
    after = opened(tiny_model_dir, grow=grow)
    assert after.config.num_layers == 3
    assert after.config.hidden_size == 64
    logits = after(IDS).logits
    assert logits.shape[-1] == vocab + 8
    torch.testing.assert_close(logits[..., :vocab], before(IDS).logits, atol=1e-4, rtol=1e-4)
    smaller = opened(tiny_model_dir, grow={"drop_layers": [-1]})
    assert smaller.config.num_layers == 1


def test_an_adapter_is_merged_into_the_model_it_names(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = load_model(tiny_model_dir, dtype="float32")
    add_adapters(model, r=2)
    for module in adapted_modules(model).values():
        module.lora_B.data.fill_(0.05)
    save_adapter(model, tmp_path, base=str(tiny_model_dir))
    settings = ModelSettings.model_validate({"adapter": str(tmp_path)})
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    merged = first_model(settings, tokenizer, seed=0, device=torch.device("cpu"))
    assert not adapted_modules(merged)
    torch.testing.assert_close(merged(IDS).logits, model(IDS).logits, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_grown_is_said(tiny_model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="layer 7 cannot be dropped"):
        opened(tiny_model_dir, grow={"drop_layers": [7]})
    with pytest.raises(ValueError, match="grow changes a trained model"):
        ModelSettings.model_validate({"depth": 2, "grow": {"add_layers": 1}})
    with pytest.raises(ConfigError, match="or see `grow`"):
        opened(tiny_model_dir, num_layers=5)
