"""Plans against what is known of models that were trained, and against sums by hand."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from chatwright.errors import InvalidParameterError
from chatwright.model.presets import preset
from chatwright.train.accelerators import ACCELERATORS, find_accelerator
from chatwright.train.plan import Layout, Plan, parse_count, plan_pretraining
from chatwright.train.plan_recipe import plan_recipe
from tests.train.tiny_recipe import tiny

H100, A100 = ACCELERATORS["h100"], ACCELERATORS["a100"]


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("outlook", "throughput"):
        monkeypatch.setattr(f"chatwright.train.{module}.matmul_peak", lambda device, dtype: 1e11)


def layouts(plan: Plan) -> dict[str, Layout]:
    return {layout.sharding: layout for layout in plan.stages[0].layouts}


def test_gpt2_by_hand() -> None:
    plan = plan_pretraining(preset("gpt2-124m"), title="", gpu=A100, gpus=8, tokens=300 * 10**9)
    (stage,) = plan.stages
    assert stage.parameters == 124_439_808
    assert stage.embedding_parameters == 50_257 * 768 + 1024 * 768
    matrices, head = 85_056_000, 50_257 * 768
    attention = 12 * 768 * 12 * 1025 / 2  # per layer 12 C for each token seen; on average half the context
    assert stage.flops_per_token == 6 * (matrices + head) + attention
    assert plan.seconds == pytest.approx(300e9 * 798_598_656 / (8 * 312e12 * 0.4))
    assert plan.cost(plan.seconds) == pytest.approx(239_963 / 3600 * 8 * 1.5, rel=1e-4)


def test_gpt3_took_what_its_papers_say() -> None:
    plan = plan_pretraining(
        preset("gpt3-175b"), title="", gpu=A100, gpus=1024, tokens=300 * 10**9, length=2048, mfu=140 / 312
    )
    assert plan.stages[0].flops == pytest.approx(3.14e23, rel=0.03)  # Brown et al. 2020, table D.1
    # Narayanan et al. 2021, arXiv 2104.04473: 34 days at 140 TFLOP/s, in which a third more is computed again
    assert plan.to_json()["days"] * 4 / 3 == pytest.approx(34, rel=0.04)


def test_llama_3_8b_on_eight_h100() -> None:
    plan = plan_pretraining(preset("llama3.1-8b"), title="", gpu=H100, gpus=8, tokens=15 * 10**12)
    (stage,) = plan.stages
    assert stage.parameters == 8_030_261_248
    assert stage.embedding_parameters == 2 * 128_256 * 4096
    assert plan.to_json()["days"] == pytest.approx(2646, rel=0.001)
    by_kind = layouts(plan)
    single, sharded, hybrid = by_kind["single"], by_kind["fsdp"], by_kind["hsdp"]
    assert single.weights == 2 * stage.parameters
    assert single.weights + single.gradients + single.masters + single.optimizer == 20 * stage.parameters
    assert (sharded.weights, sharded.optimizer) == (stage.parameters // 4, stage.parameters)
    assert (hybrid.replicas, hybrid.shards, hybrid.optimizer) == (2, 4, 2 * stage.parameters)
    assert not single.fits  # 160 GB
    assert not by_kind["ddp"].fits
    assert sharded.rows == 1
    assert sharded.rows_recomputed > 4
    assert sharded.fixed + sharded.rows * sharded.row <= 0.9 * 80e9
    assert sharded.row_recomputed < sharded.row / 5


def test_chinchilla_is_the_default() -> None:
    plan = plan_pretraining(preset("gpt2-124m"), title="", gpu=H100, gpus=1)
    assert plan.stages[0].work.tokens == 20 * 124_439_808
    assert [layout.sharding for layout in plan.stages[0].layouts] == ["single"]


def test_experts_that_a_token_does_not_meet_cost_memory_and_no_time() -> None:
    (stage,) = plan_pretraining(preset("qwen3-30b-a3b"), title="", gpu=H100, gpus=8, tokens=10**9).stages
    assert stage.active_parameters == pytest.approx(3.35e9, rel=0.01)
    assert stage.flops_per_token < 0.2 * 6 * stage.parameters


def test_a_recipe_stage_by_stage(tmp_path: Path) -> None:
    plan = plan_recipe(tiny(tmp_path, "device=cuda:3"), gpu=H100, gpus=2, price_per_hour=3.0)
    assert [stage.work.name for stage in plan.stages] == ["pretrain", "sft", "dpo"]
    assert plan.stages[0].work.tokens == 6 * 4 * 48
    assert plan.stages[0].steps == 6
    assert plan.price_given
    assert plan.seconds == pytest.approx(sum(stage.seconds or 0 for stage in plan.stages))
    assert json.loads(json.dumps(plan.to_json()))["stages"][2]["memory"]["ddp"]["fits"]


def test_to_sample_answers_from_parts_the_whole_model_comes_together(tmp_path: Path) -> None:
    model = {"hidden_size": 16, "num_layers": 8, "num_heads": 2, "max_position_embeddings": 64}
    sampling = {"data": "chats", "max_length": 48, "max_completion_length": 8, "reward_funcs": "rewards:some"}
    stages = {"grpo": sampling, "ppo": sampling, "sft": {"data": "chats", "max_length": 48}}
    plan = plan_recipe(tiny(tmp_path, model=model, stages=stages), gpu=H100, gpus=2)
    grpo, ppo, sft = ({layout.sharding: layout for layout in stage.layouts} for stage in plan.stages)
    layer = (plan.stages[0].parameters - plan.stages[0].embedding_parameters) // 8
    assert grpo["fsdp"].passing - sft["fsdp"].passing == 2 * 5 * layer  # of eight, three come together in any case
    assert ppo["fsdp"].passing == grpo["fsdp"].passing
    assert grpo["ddp"].passing == sft["ddp"].passing
    assert ppo["fsdp"].weights == 2 * grpo["fsdp"].weights == 2 * sft["fsdp"].weights  # the reference is in parts too


@pytest.mark.parametrize(
    ("text", "value"), [("10B", 10**10), ("1.5t", 15 * 10**11), ("300_000", 300_000), ("2e9", 2 * 10**9)]
)
def test_counts(text: str, value: int) -> None:
    assert parse_count(text, "tokens") == value


@pytest.mark.parametrize("text", ["", "many", "-3", "0", "10 GB"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="such as 300M"):
        parse_count(text, "tokens")


def test_names_of_devices() -> None:
    assert find_accelerator("NVIDIA H100") is H100
    assert find_accelerator("RTX 4090").title == "GeForce RTX 4090"
    with pytest.raises(InvalidParameterError, match="did you mean h100"):
        find_accelerator("h1000")


@pytest.mark.parametrize("wrong", [{"mfu": 0.0}, {"mfu": 1.5}, {"gpus": 0}, {"length": 4096}])
def test_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
        plan_pretraining(preset("gpt2-124m"), title="", **{"gpu": H100, "gpus": 1} | wrong)  # type: ignore[arg-type]


_RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from chatwright.train.pipeline import run_recipe
from chatwright.train.recipe import load_recipe
from chatwright.train.run_watch import RunWatcher

class Peak(RunWatcher):
    def stage_ended(self, stage, result):
        print(result.peak_memory_bytes)

run_recipe(load_recipe(sys.argv[1]), watcher=Peak())
"""


def test_the_memory_of_a_run_on_a_cpu(tmp_path: Path) -> None:
    """A process of its own, since a process remembers its peak."""
    stage = {"data": "text", "max_length": 64, "train_batch_size": 2, "max_steps": 1, "bf16": False}
    model = {"hidden_size": 512, "num_layers": 6, "num_heads": 8, "max_position_embeddings": 64}
    recipe = tiny(tmp_path, model=model, stages={"pretrain": stage}, evaluation={})
    result = subprocess.run([sys.executable, "-c", _RUN, str(tmp_path / "tiny.yaml")], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    cpu = replace(find_accelerator("cpu"), itemsize=4)
    (layout,) = plan_recipe(recipe, gpu=cpu, gpus=1).stages[0].layouts
    assert layout.fixed + 2 * layout.row == pytest.approx(int(result.stdout.split()[-1]), rel=0.2)


def test_a_plan_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['chatwright', 'plan', 'llama-8b', '--json']\n"
        "from chatwright.cli.app import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["stages"][0]["parameters"] == 8_030_261_248
