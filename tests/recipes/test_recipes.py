"""Every recipe is read, planned, and takes its first steps: on a tiny model and a few rows of the kind it expects."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Text
from chatwright.train.objectives import objective
from chatwright.train.outlook import outlook
from chatwright.train.pipeline import run_recipe
from chatwright.train.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))

_QUESTION, _GOOD, _BAD = "What is 2 plus 3? 2加3等于多少？", "2 plus 3 is 5. 2加3等于5。", "2 plus 3 is 6."
_ROWS = {
    Text: {"text": f"{_GOOD} The bird sang by the river. 小鸟在河边唱歌。"},
    Dialogue: {"messages": [{"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _GOOD}]},
    Preference: {"prompt": _QUESTION, "chosen": _GOOD, "rejected": _BAD},
    Rated: {"prompt": _QUESTION, "completion": _GOOD, "label": True},
    Prompt: {"prompt": _QUESTION, "answer": "5"},
}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _rows(kind: type, recipe: Recipe, stage: str) -> Iterator[dict[str, object]]:
    """A dozen rows of one kind; each another, so that some can be held out."""
    for number in range(12):
        if kind is Labelled:
            labels = recipe.stages[stage].get("labels", ("negative", "positive"))
            yield {"text": f"Film number {number}", "label": labels[number % len(labels)]}
        else:
            text = json.dumps(_ROWS[kind], ensure_ascii=False).replace("2 plus", f"{number} plus")
            yield {**json.loads(text), **({"label": number % 2 == 0} if kind is Rated else {})}


def _stand_ins(name: str, folder: Path, model: Path) -> list[str]:
    """Overrides that put local data, and a tiny model where weights are taken, in place of what has to be fetched."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    overrides = []
    for stage in recipe.stages:
        key = recipe.data_key(stage)
        if str(recipe.data[key].path).startswith("builtin:"):
            overrides.append(f"data.{key}.limit=12")
            continue
        path = folder / f"{key}.jsonl"
        rows = _rows(objective(recipe.objective_of(stage)).rows[0], recipe, stage)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        overrides.append(f"data.{key}={{path: {path}, validation_fraction: 0.25}}")
    if not recipe.model.from_scratch:
        overrides.append(f"model={model}")
    if recipe.tokenizer is not None and recipe.tokenizer.from_ is not None:
        overrides.append(f"tokenizer={model}")
    for stage, settings in recipe.stages.items():
        if settings.get("teacher"):
            overrides.append(f"stages.{stage}.teacher={model}")
        if ".py:" not in settings.get("reward_funcs", ".py:"):  # the folder of a reward model
            overrides.append(f"stages.{stage}.reward_funcs={RECIPES / 'rewards.py'}:right_in_a_sentence")
    return [*overrides, "device=cpu"]


def _few(recipe: Recipe, stage: str) -> list[str]:
    """Settings of a stage of two small steps."""
    given = recipe.stages[stage]
    few = ["max_steps=2", "max_length=128", "eval_steps=2", "save_steps=2", "torch_compile=false"]
    if recipe.objective_of(stage) == "private_sft":
        return [*few, "expected_batch_size=4"]
    if "max_completion_length" in given:
        few.append("max_completion_length=8")
    if recipe.objective_of(stage) == "distill_text":
        few.append("keep_cut=true")  # the tiny teacher never comes to an end
    return [*few, f"train_batch_size={given.get('num_generations', 2)}"]


def test_is_planned_in_full(name: str, tmp_path: Path, tiny_model_dir: Path) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml", _stand_ins(name, tmp_path, tiny_model_dir))
    plan = outlook(recipe)
    assert [stage.name for stage in plan.stages] == list(recipe.stages)
    assert all(stage.trainable_parameters and stage.memory_bytes for stage in plan.stages)


def test_says_how_to_start_it(name: str) -> None:
    comment = (RECIPES / f"{name}.yaml").read_text("utf-8").partition("\n\n")[0]
    assert f"train recipes/{name}.yaml" in comment


def test_takes_its_first_steps(name: str, tmp_path: Path, tiny_model_dir: Path) -> None:
    overrides = _stand_ins(name, tmp_path, tiny_model_dir)
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    small = [f"output={tmp_path / 'run'}", "evaluation={}"]
    if recipe.model.from_scratch:
        causal = recipe.model.shape.get("causal", True)
        small.append(f"model={{hidden_size: 32, num_layers: 1, num_heads: 2, causal: {str(causal).lower()}}}")
    if recipe.tokenizer is not None and recipe.tokenizer.vocab_size:
        small.append("tokenizer.vocab_size=300")
    for stage in recipe.stages:
        small += [f"stages.{stage}.{key}" for key in _few(recipe, stage)]
    folder = run_recipe(load_recipe(RECIPES / f"{name}.yaml", [*overrides, *small]))
    steps = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert {step["stage"] for step in steps if "loss" in step} == set(recipe.stages)
    assert list((folder / "model").glob("model*.safetensors"))
