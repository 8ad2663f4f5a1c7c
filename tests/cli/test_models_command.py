"""``chatwright models`` and ``chatwright export``."""

import json
import shutil
from pathlib import Path

import pytest

from chatwright import load_model
from chatwright.cli import language
from chatwright.model.catalog import CATALOG
from chatwright.paths import models_dir
from tests.conftest import Run


def test_list_shows_what_is_here_and_what_can_be_had(run: Run, tiny_model_dir: Path) -> None:
    shutil.copytree(tiny_model_dir, models_dir() / "Qwen" / "Qwen3-0.6B")
    result = run("models", "list")
    assert result.exit_code == 0
    assert "Qwen/Qwen3-0.6B" in result.stdout
    assert all(entry.name in result.stdout for entry in CATALOG)
    listed = json.loads(run("models", "list", "--json").stdout)
    places = {model["name"]: model["path"] for model in listed["local"]}
    assert places["Qwen/Qwen3-0.6B"] == str(models_dir() / "Qwen" / "Qwen3-0.6B")
    assert {row["name"]: row["here"] for row in listed["recommended"]}["qwen3-0.6b"] is True


def test_presets_show_counted_parameters(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "presets", "--json").stdout)}
    assert rows["gpt2-124m"]["parameters"] == 124_439_808
    assert "124,439,808" in run("models", "presets").stdout


def test_show_describes_a_model_without_loading_it(run: Run, tiny_model_dir: Path) -> None:
    facts = json.loads(run("models", "show", str(tiny_model_dir), "--json").stdout)
    assert facts["architecture"] == "llama"
    assert facts["chat_template"] is True
    assert facts["parameters"] == sum(weight.numel() for weight in load_model(tiny_model_dir).parameters())
    assert "max_position_embeddings" in run("models", "show", str(tiny_model_dir)).stdout


def test_show_and_pull_name_what_is_wrong(run: Run) -> None:
    missing = run("models", "show", "no-such-model")
    assert missing.exit_code == 1
    assert "chatwright models list" in missing.stderr
    bad = run("models", "pull", "../../etc")
    assert bad.exit_code == 2
    assert "owner/name" in bad.stderr
    offline = run("models", "pull", "qwen3-0.6b")  # the tests' home is offline
    assert offline.exit_code == 1
    assert "HF_HUB_OFFLINE" in offline.stderr


@pytest.mark.parametrize(("format", "name"), [("hf", "folder"), ("gguf", "model.gguf")])
def test_an_exported_model_opens_again(run: Run, tiny_model_dir: Path, tmp_path: Path, format: str, name: str) -> None:
    import torch

    out = tmp_path / name
    result = run("export", str(tiny_model_dir), "--format", format, "--dtype", "f32", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    ids = torch.arange(3, 40)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(out, dtype="float32")(ids).logits, load_model(tiny_model_dir)(ids).logits, atol=1e-5, rtol=0
        )
    assert [file.name for file in tmp_path.iterdir()] == [name]
    again = run("export", str(tiny_model_dir), "--format", format, "--out", str(out))
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run("export", str(tiny_model_dir), "-f", format, "-o", str(out), "--overwrite").exit_code == 0


def test_a_folder_cannot_hold_q8_0(run: Run, tiny_model_dir: Path, tmp_path: Path) -> None:
    result = run("export", str(tiny_model_dir), "--dtype", "q8_0", "--out", str(tmp_path / "x"))
    assert result.exit_code == 2
    assert "--format gguf" in result.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "CHATWRIGHT_LANG": "zh"}, "zh"),
        ({}, "en"),
    ],
)
def test_the_language_follows_the_locale(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("CHATWRIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    language.language.cache_clear()
    try:
        assert language.say("en", "zh") == expected
    finally:
        language.language.cache_clear()


def test_no_command_at_all_shows_the_help(run: Run) -> None:
    result = run()
    assert "Usage" in result.output
    assert "chat" in result.output
    assert run("--version").stdout.startswith("chatwright ")
    assert run("no-such-command").exit_code == 2
