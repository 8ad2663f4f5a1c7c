"""Recipes: what they may say, and the one sentence for what they may not."""

from pathlib import Path

import pytest
import yaml

from chatwright.errors import ConfigError
from chatwright.train.recipe import ModelSettings, Recipe, load_recipe
from chatwright.train.recipe_source import parse_yaml
from chatwright.train.stage_run import rows_per_step, start_of
from tests.train.tiny_recipe import tiny, write_recipe


def test_overrides_reach_every_depth(tmp_path: Path) -> None:
    recipe = tiny(
        tmp_path,
        "stages.sft.learning_rate=1e-4",
        "stages.sft.lora.r=4",
        "data.chats=mine.jsonl",
        "seed=7",
        "stages.dpo=null",
        "model.num_layers=3",
    )
    assert recipe.stage_settings("sft").learning_rate == 1e-4
    assert recipe.stage_settings("sft").lora is not None
    assert recipe.stage_settings("sft").lora.r == 4
    assert recipe.data["chats"].path == "mine.jsonl"
    assert recipe.data["chats"].validation_fraction is None  # the whole entry is replaced
    assert recipe.seed == 7
    assert list(recipe.stages) == ["pretrain", "sft"]
    assert recipe.model.config(300).num_layers == 3


def test_an_override_below_a_plain_string_keeps_the_string(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "data.chats.limit=5", data={"text": "a.txt", "chats": "b.jsonl", "pairs": "c.jsonl"})
    assert recipe.data["chats"].path == "b.jsonl"
    assert recipe.data["chats"].limit == 5


def test_the_resolved_recipe_is_the_recipe(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "stages.sft.lora={}", "data.text=[a.txt, b.txt]", "report_to=tensorboard")
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(recipe.resolved(), sort_keys=False))
    assert load_recipe(again).resolved() == recipe.resolved()
    assert list(load_recipe(again).stages) == list(recipe.stages)


def test_the_name_is_the_files_unless_given(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    assert load_recipe(path).name == "tiny"
    assert load_recipe(path, name="other").name == "other"


def test_numbers_are_read_as_people_write_them() -> None:
    assert parse_yaml("[1e-4, 3E5, 1_000, .5, 1.5e3, -2e-3]", "") == [1e-4, 3e5, 1000, 0.5, 1500.0, -2e-3]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stages.sft.learning_rat=1", "unknown key stages.sft.learning_rat (= 1); did you mean learning_rate"),
        ("stages.sft.lora.rank=3", "unknown key stages.sft.lora.rank (= 3)"),
        ("stages.sft.learning_rate=fast", "stages.sft.learning_rate is 'fast'; it must be a valid number"),
        ("stages.sft.optimizer=sgd", "stages.sft.optimizer is 'sgd'; it must be 'muon' or 'adamw'"),
        ("stages.sft.max_steps=0", "stages.sft.max_steps is 0; it must be greater than or equal to 1"),
        ("stages.sftt.data=chats", "no objective is called 'sftt', did you mean 'sft'?"),
        ("stages.sft=3", "stage sft is 3; it must be a mapping"),
        ("stages.sft.data=chat", "data.chat, which the recipe does not have"),
        ("stages.sft.eval_data=chat", "data.chat, which the recipe does not have"),
        ("stages.pretrain.start_from=sft", "it must be a stage before it (there is none)"),
        ("stages={}", "give at least one stage"),
        ("model.num_layer=3", "unknown key num_layer (= 3); did you mean num_layers"),
        ("model.preset=qwen3", "no preset is called 'qwen3'"),
        ("model={preset: llama-1m, depth: 4}", "preset and depth exclude each other"),
        ("model={}", "give preset, depth, from, or a shape"),
        ("model=3", "model must be a name, or a mapping"),
        ("data.text.pth=x", "unknown key data.text.pth (= 'x'); did you mean path?"),
        ("data.text.clean.min_word=3", "unknown key data.text.clean.min_word (= 3); did you mean min_words"),
        ("tokenizer={}", "tokenizer needs either `from` (take one) or `vocab_size` (train one)"),
        ("tokenizer={from: default, min_frequency: 3}", "min_frequency has no effect"),
        ("tokenizer.data=txt", "tokenizer.data names 'txt'; did you mean text?"),
        ("tokenizer=null", "a model with random weights has no tokenizer of its own"),
        ("evaluation.task=[a]", "unknown key evaluation.task"),
        ("report_to=[tensorbord]", "report_to.0 is 'tensorbord'; it must be 'tensorboard', 'wandb' or 'swanlab'"),
        ("sedd=1", "unknown key sedd (= 1); did you mean seed?"),
        ("name=../x", "becomes a folder"),
        ("nonsense", "write it as key=value"),
        ("seed.x=1", "no keys below it"),
        ("seed=[1", "line 1"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(tmp_path, override, seed=0)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "line 1"),
        ("seed: 1\nseed: 2", "line 2, column 1: not valid YAML: 'seed' is given twice"),
        ("- a", "holds no recipe"),
        ("stages: {sft: {}}", "model is missing"),
        ("model: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml") as caught:
        load_recipe(path)
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_a_name_that_is_a_model_and_a_preset_is_the_model() -> None:
    assert _model("qwen3-0.6b").from_ == "qwen3-0.6b"
    assert _model("qwen3-15m").preset == "qwen3-15m"
    assert _model({"preset": "qwen3-0.6b"}).preset == "qwen3-0.6b"


def test_depth_is_the_one_dial() -> None:
    config = _model({"depth": 6, "max_position_embeddings": 256}).config(1000)
    assert (config.num_layers, config.hidden_size, config.num_heads, config.kv_heads) == (6, 384, 6, 2)
    assert config.max_position_embeddings == 256


def test_changing_a_presets_width_changes_what_follows_from_it() -> None:
    config = _model({"preset": "qwen3-5m", "hidden_size": 64, "num_heads": 4, "num_layers": 2}).config(1000)
    assert (config.head_size, config.kv_heads, config.mlp_size) == (16, 4, 256)


def test_a_stage_starts_from_the_one_before_unless_told(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "stages.dpo.start_from=pretrain")
    assert [start_of(recipe, name) for name in recipe.stages] == [None, "pretrain", "pretrain"]


def test_the_batch_is_what_the_three_numbers_say(tmp_path: Path) -> None:
    def rows(*settings: str, processes: int = 1) -> int:
        recipe = tiny(tmp_path, "stages.sft.train_batch_size=null", *(f"stages.sft.{text}" for text in settings))
        return rows_per_step(recipe.stage_settings("sft"), processes, "sft")

    assert rows("train_batch_size=6") == 6
    assert rows("per_device_train_batch_size=2", "gradient_accumulation_steps=3", processes=2) == 12
    with pytest.raises(ConfigError, match="is 6, but train_batch_size is 8"):
        rows("train_batch_size=8", "per_device_train_batch_size=2", "gradient_accumulation_steps=3")


def _model(values: object) -> ModelSettings:
    return Recipe.model_validate({"model": values, "stages": {"sft": {}}}).model
