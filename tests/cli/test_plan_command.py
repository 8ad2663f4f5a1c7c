"""``chatwright plan`` as a person uses it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chatwright.cli.app import app
from tests.train.tiny_recipe import write_recipe


@pytest.fixture(autouse=True)
def known_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("outlook", "throughput"):
        monkeypatch.setattr(f"chatwright.train.{module}.matmul_peak", lambda device, dtype: 1e11)


def _plan(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["plan", *arguments])


@pytest.mark.parametrize(
    "what", [("llama-8b", "--tokens", "15T"), ("qwen3-30b-a3b", "--gpus", "64"), ("gpt2-1.5b", "--gpu", "4090")]
)
def test_the_page_fits_a_narrow_terminal(what: tuple[str, ...]) -> None:
    result = _plan(*what)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout
    assert "FSDP2 × " in result.stdout
    assert "an assumption" in result.stdout


def test_the_dials() -> None:
    plan = json.loads(
        _plan(
            "--depth",
            "12",
            "--gpu",
            "a100",
            "--gpus",
            "4",
            "--tokens",
            "10B",
            "--batch",
            "0.5M",
            "--length",
            "1024",
            "--mfu",
            "0.5",
            "--price-per-hour",
            "2",
            "--json",
        ).stdout
    )
    stage = plan["stages"][0]
    assert (stage["tokens"], stage["batch_tokens"]) == (10**10, 488 * 1024)
    assert plan["seconds"] == pytest.approx(1e10 * stage["flops_per_token"] / (4 * 312e12 * 0.5))
    assert plan["cost"] == pytest.approx(plan["seconds"] / 3600 * 4 * 2)
    assert not plan["price_is_assumed"]


def test_this_machine_is_one_device() -> None:
    plan = json.loads(_plan("llama-1m", "--gpu", "cpu", "--json").stdout)
    assert plan["gpus"] == 1
    assert plan["cost"] is None


def test_a_recipe(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path))
    result = _plan(recipe, "--gpus", "2", "--set", "stages.dpo=null")
    assert "sft: " in result.stdout
    assert "dpo" not in result.stdout
    refused = _plan(recipe, "--tokens", "10B")
    assert refused.exit_code == 2
    assert "--tokens has no effect on a recipe" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either a preset"),
        (("llama-8b", "--depth", "4"), "give either a preset"),
        (("llama-9b",), "did you mean llama-8b"),
        (("llama-8b", "--gpu", "h101"), "did you mean h100"),
        (("llama-8b", "--tokens", "lots"), "such as 300M"),
        (("llama-8b", "--set", "a=b"), "--set changes a recipe"),
        (("missing.yaml",), "there is no recipe"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    result = _plan(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
