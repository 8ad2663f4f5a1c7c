"""Saving: shards, dtypes, our own form, and what happens to an older model in the folder when it fails."""

import json
import os
from pathlib import Path

import pytest
import torch

from chatwright.errors import StorageError, UnsupportedModelError
from chatwright.model import (
    GPT,
    GenerationDefaults,
    ModelConfig,
    MoEConfig,
    build_model,
    load_model,
    read_generation_defaults,
    save_model,
)

SMALL = ModelConfig(61, 24, 3, 4, num_kv_heads=2, head_dim=8)
MOE = SMALL.replace(qk_norm=True, moe=MoEConfig(4, 2, 16, dense_layers=(1,)))
GPT2 = ModelConfig(
    61,
    24,
    3,
    4,
    max_position_embeddings=64,
    position="learned",
    norm="layer",
    norm_eps=1e-5,
    feed_forward="gelu_tanh",
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
)
OWN = SMALL.replace(position="sinusoidal", causal=False, norm_placement="sandwich", moe=MOE.moe)


def equal(one: GPT, other: GPT) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def random_model(config: ModelConfig) -> GPT:
    model = build_model(config, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("config", [SMALL, MOE, GPT2, SMALL.replace(tie_embeddings=False, dropout=0.25)])
@pytest.mark.parametrize("max_shard_bytes", [5_000_000_000, 20_000, 1])
def test_what_is_saved_is_loaded(config: ModelConfig, max_shard_bytes: int, tmp_path: Path) -> None:
    model = random_model(config)
    save_model(model, tmp_path, max_shard_bytes=max_shard_bytes)
    again = load_model(tmp_path)
    assert equal(model, again)
    assert again.config == config
    files = sorted(tmp_path.glob("*.safetensors"))
    assert (len(files) > 1) == (max_shard_bytes <= 20_000)
    if max_shard_bytes == 20_000:
        assert all(file.stat().st_size < 20_000 + 3_000 for file in files)  # the header comes on top


def test_own_form_keeps_every_option(tmp_path: Path) -> None:
    model = random_model(OWN).eval()
    with pytest.raises(UnsupportedModelError, match="own_format=True"):
        save_model(model, tmp_path)
    assert not (tmp_path / "config.json").exists()
    save_model(model, tmp_path, own_format=True)
    again = load_model(tmp_path)
    assert again.config == OWN
    assert equal(model, again)
    ids = torch.tensor([[1, 2, 3, 4]])
    assert torch.equal(again(ids).logits, model(ids).logits)


def test_a_model_can_be_saved_over_itself(tmp_path: Path) -> None:
    """The loaded weights are views of the file that is being replaced."""
    model = random_model(SMALL)
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    save_model(loaded, tmp_path, max_shard_bytes=5_000)
    assert equal(load_model(tmp_path), model)
    save_model(load_model(tmp_path), tmp_path)
    assert equal(load_model(tmp_path), model)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]


def test_another_dtype_rounds_once(tmp_path: Path) -> None:
    model = random_model(SMALL)
    save_model(model, tmp_path, dtype="bfloat16")
    again = load_model(tmp_path)
    assert again.embed.weight.dtype == torch.bfloat16
    assert torch.equal(again.embed.weight, model.embed.weight.to(torch.bfloat16))
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["dtype"] == values["torch_dtype"] == "bfloat16"


def test_a_full_disk_leaves_the_older_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = random_model(SMALL)
    save_model(older, tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left on device"):
        save_model(build_model(SMALL), tmp_path)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert equal(load_model(tmp_path), older)


def test_a_crash_while_replacing_leaves_nothing_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old and new shards have the same names: half of each must not be taken for a model."""
    save_model(random_model(SMALL), tmp_path, max_shard_bytes=9_000)
    replace, calls = os.replace, []

    def crash(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        save_model(build_model(SMALL), tmp_path, max_shard_bytes=9_000)
    assert not (tmp_path / "config.json").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be made"):
        save_model(build_model(SMALL), tmp_path / "file" / "model")


def test_generation_defaults_stay_and_can_be_given(tmp_path: Path) -> None:
    save_model(build_model(SMALL), tmp_path, generation=GenerationDefaults(1, (2, 3), 0, temperature=0.6))
    save_model(build_model(SMALL), tmp_path)
    assert read_generation_defaults(tmp_path) == GenerationDefaults(1, (2, 3), 0, temperature=0.6)
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == [2, 3]
