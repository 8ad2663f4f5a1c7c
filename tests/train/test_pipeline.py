"""A recipe from beginning to end, on tiny models."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright.chat import ChatTemplate
from chatwright.classifier import Classifier
from chatwright.data.encode import DialogueEncoder
from chatwright.data.rows import Dialogue
from chatwright.data.sources import read_rows
from chatwright.data.tokenize import build_store
from chatwright.errors import ConfigError, InputError, StorageError, UnsupportedModelError
from chatwright.model import read_generation_defaults
from chatwright.model.load import load_folder
from chatwright.session import Chat
from chatwright.tokenizer import Tokenizer
from chatwright.train.outlook import outlook
from chatwright.train.pipeline import run_recipe
from chatwright.train.recipe import load_recipe
from chatwright.train.run_folder import StageRecord, open_run
from chatwright.train.run_watch import RunWatcher
from chatwright.train.samples import Sample
from tests.train.tiny_recipe import QUESTION, records, tiny, write_recipe

ONLY_SFT = ("stages.pretrain=null", "stages.dpo=null", "tokenizer=null", "stages.sft.max_steps=2")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokenizer, pretraining, fine-tuning and preferences, done once. Do not write into it."""
    return run_recipe(tiny(tmp_path_factory.mktemp("whole")), language="zh")


def test_every_stage_leaves_a_model_that_opens(whole_run: Path) -> None:
    for folder in (*(whole_run / "stages" / name for name in ("pretrain", "sft", "dpo")), whole_run / "model"):
        model = load_folder(folder)
        tokenizer = Tokenizer.from_folder(folder)
        template = ChatTemplate(tokenizer)
        assert model.config.vocab_size % 64 == 0  # what the tokenizer needs, rounded up
        assert model.config.vocab_size - tokenizer.vocab_size < 64
        assert not template.is_default
        assert template.turn_end_id in read_generation_defaults(folder).eos_token_ids
    same = [(whole_run / name / "model.safetensors").read_bytes() for name in ("model", "stages/dpo")]
    assert same[0] == same[1]


def test_steps_are_counted_over_the_whole_run(whole_run: Path) -> None:
    steps = [record for record in records(whole_run) if "learning_rate" in record]
    assert [record["step"] for record in steps] == list(range(1, 13))
    assert [record["stage"] for record in steps] == ["pretrain"] * 6 + ["sft"] * 4 + ["dpo"] * 2
    assert [record["stage_step"] for record in steps] == [*range(1, 7), *range(1, 5), 1, 2]
    assert {"loss", "learning_rate", "grad_norm", "tokens"} <= steps[0].keys()


def test_held_out_data_is_measured_as_it_goes(whole_run: Path) -> None:
    evaluations = [record for record in records(whole_run) if "eval_loss" in record]
    assert [record["step"] for record in evaluations] == [2, 4, 6, 8, 10, 12]
    assert all("eval_bits_per_byte" in record for record in evaluations[:5])
    assert "eval_accuracy" in evaluations[5]  # of preferences
    assert "eval_bits_per_byte" not in evaluations[5]


def test_the_model_answers_at_each_evaluation(whole_run: Path) -> None:
    samples = [json.loads(line) for line in (whole_run / "samples.jsonl").read_text().splitlines()]
    assert [sample["step"] for sample in samples] == [2, 4, 6, 8, 10, 12]
    assert all(sample["prompt"] == QUESTION for sample in samples)


def test_the_report_has_the_final_figures(whole_run: Path) -> None:
    report = json.loads((whole_run / "report.json").read_text())
    assert list(report["stages"]) == ["pretrain", "sft", "dpo"]
    last = [record for record in records(whole_run) if "eval_loss" in record][-1]
    assert report["stages"]["dpo"]["eval_loss"] == last["eval_loss"]
    assert report["stages"]["pretrain"]["steps"] == 6
    assert report["stages"]["pretrain"]["data"]["sources"]["text"]["read"] == 81
    assert [turn["role"] for turn in report["conversation"]] == ["user", "assistant"]


def test_the_page_stands_alone_and_speaks_the_persons_language(whole_run: Path) -> None:
    page = (whole_run / "report.html").read_text("utf-8")
    assert "训练阶段" in page
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert "http" not in page
    assert (whole_run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_done_again(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run, tmp_path / "run")
    recipe = load_recipe(whole_run.parent / "tiny.yaml", [f"output={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match="already holds a run; add --resume"):
        run_recipe(recipe)
    watcher = _Notes()
    run_recipe(recipe, resume=True, watcher=watcher)
    assert watcher.reused == ["pretrain", "sft", "dpo"]
    assert records(tmp_path / "run") == records(whole_run)


def test_a_changed_recipe_is_another_run(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run, tmp_path / "run")
    recipe = load_recipe(whole_run.parent / "tiny.yaml", [f"output={tmp_path / 'run'}", "stages.sft.learning_rate=0.5"])
    with pytest.raises(ConfigError, match=r"stages\.sft\.learning_rate was 0\.001 and is 0\.5"):
        run_recipe(recipe, resume=True)


def test_how_a_run_is_watched_may_change(whole_run: Path, tmp_path: Path) -> None:
    shutil.copytree(whole_run, tmp_path / "run")
    changes = ["stages.sft.save_steps=1", "stages.sft.logging_steps=1", "evaluation.samples=[Hello]"]
    recipe = load_recipe(whole_run.parent / "tiny.yaml", [f"output={tmp_path / 'run'}", *changes])
    run_recipe(recipe, resume=True)


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    with (
        open_run(recipe.folder, recipe, resume=False),
        pytest.raises(StorageError, match="another process"),
        open_run(recipe.folder, recipe, resume=True),
    ):
        pass


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    recipe.folder.mkdir()
    (recipe.folder / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other things \(thesis.txt"):
        run_recipe(recipe)


def test_adapters_are_saved_alone_and_merged(tmp_path: Path, tiny_model_dir: Path) -> None:
    recipe = tiny(tmp_path, *ONLY_SFT, "stages.sft.lora={r: 2}", f"model={tiny_model_dir}", "stages.sft.bf16=false")
    stage = run_recipe(recipe) / "stages" / "sft"
    assert json.loads((stage / "adapter" / "adapter_config.json").read_text())["r"] == 2
    merged, base = load_folder(stage, dtype=torch.float32), load_folder(tiny_model_dir, dtype=torch.float32)
    changed = {name for name, weight in merged.state_dict().items() if not torch.equal(weight, base.state_dict()[name])}
    assert changed
    assert all("_proj" in name for name in changed)  # what has adapters, and nothing else


def test_a_tuned_model_keeps_its_makers_advice(tmp_path: Path, tiny_model_dir: Path) -> None:
    folder = run_recipe(tiny(tmp_path, *ONLY_SFT, f"model={tiny_model_dir}")) / "model"
    assert read_generation_defaults(folder).temperature == 0.8  # as in the model's own generation_config.json
    assert Tokenizer.from_folder(folder).json() == Tokenizer.from_folder(tiny_model_dir).json()


def test_an_adapter_goes_on_from_its_base(tmp_path: Path, tiny_model_dir: Path) -> None:
    (tmp_path / "first").mkdir()
    lora = ("stages.sft.lora={r: 2}", f"model={tiny_model_dir}")
    first = run_recipe(tiny(tmp_path / "first", *ONLY_SFT, *lora)) / "stages" / "sft"
    model = f"model={{from: {tiny_model_dir}, adapter: {first / 'adapter'}}}"
    recipe = tiny(tmp_path, *ONLY_SFT, model, "stages.sft.learning_rate=1e-30")
    second = load_folder(run_recipe(recipe) / "model")
    for name, weight in load_folder(first).state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], weight)


def test_held_out_data_can_be_given(tmp_path: Path, tiny_model_dir: Path) -> None:
    held_out = tmp_path / "held_out.jsonl"
    recipe = tiny(
        tmp_path, *ONLY_SFT, f"model={tiny_model_dir}", "stages.sft.eval_data=other", f"data.other={held_out}"
    )
    held_out.write_text((tmp_path / "chats.jsonl").read_text().splitlines()[0] + "\n")
    report = json.loads((run_recipe(recipe) / "report.json").read_text())["stages"]["sft"]["data"]
    assert (report["train"]["examples"], report["validation"]["examples"]) == (81, 1)


def test_data_that_was_prepared_before_is_trained_on_as_it_is(tmp_path: Path, tiny_model_dir: Path) -> None:
    whole = tiny(tmp_path, *ONLY_SFT, f"model={tiny_model_dir}")
    prepared = tmp_path / "prepared"
    tokenizer = Tokenizer.from_folder(tiny_model_dir)
    rows = read_rows(whole.data["chats"], kinds=(Dialogue,))
    build_store(rows, DialogueEncoder(ChatTemplate(tokenizer), 48), prepared)
    recipe = tiny(tmp_path, *ONLY_SFT, f"model={tiny_model_dir}", f"data.chats={prepared}")
    run = run_recipe(recipe)
    told = json.loads((run / "report.json").read_text())["stages"]["sft"]["data"]
    assert told["train"]["examples"] == 81
    assert told["validation"] is None
    assert not (run / "data" / "sft" / "train").exists()  # mapped where it lies
    others = (f"output={tmp_path / 'other'}", "stages.sft.max_length=32")
    with pytest.raises(ConfigError, match="prepared with another tokenizer, chat template, max_length"):
        run_recipe(tiny(tmp_path, *ONLY_SFT, f"model={tiny_model_dir}", f"data.chats={prepared}", *others))


def test_a_stage_may_name_a_model_by_its_stage(tmp_path: Path, tiny_model_dir: Path) -> None:
    recipe = tiny(
        tmp_path,
        *ONLY_SFT,
        f"model={tiny_model_dir}",
        "stages.distill={data: chats, teacher: sft, max_length: 48, max_steps: 1, train_batch_size: 2, bf16: false}",
    )
    figures = json.loads((run_recipe(recipe) / "report.json").read_text())["stages"]["distill"]
    assert figures["eval_divergence"] < 1e-3  # pupil and teacher have just parted


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        (["data.chats=gone.jsonl"], InputError, "there is no file or folder gone.jsonl"),
        (["data.chats=empty.jsonl"], InputError, "empty.jsonl"),
        (["stages.sft.data=text"], InputError, "sft"),
        (["chat_template=gone.jinja"], ConfigError, "gone.jinja cannot be read"),
        (["device=cuda:7"], Exception, "cuda"),
        (["evaluation.tasks=[gsm9k]", "evaluation.during=false"], ConfigError, "there is no task 'gsm9k'"),
        (["evaluation.tasks=['exact:gone.jsonl']"], InputError, "there is no file or folder gone.jsonl"),
    ],
)
def test_what_cannot_be_trained_on_is_said_in_one_sentence(
    tmp_path: Path,
    tiny_model_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: Sequence[str],
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    recipe = tiny(tmp_path, *ONLY_SFT, f"model={tiny_model_dir}", *overrides)
    with pytest.raises(error) as caught:
        run_recipe(recipe)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_positions_sets_the_longest_sequence(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "model.position=learned", "stages.pretrain.max_length=65")
    with pytest.raises(ConfigError, match=r"stages.pretrain.max_length is 65, but the model knows only 64 positions"):
        run_recipe(recipe)
    with pytest.raises(ConfigError, match=r"stages.pretrain.max_length is 65"):
        outlook(recipe)


def test_rows_that_the_template_refuses_count_against_max_malformed(tmp_path: Path, tiny_model_dir: Path) -> None:
    template = tmp_path / "strict.jinja"
    template.write_text(
        "{% for message in messages %}{% if '8 plus' in message.content %}{{ raise_exception('no eights') }}{% endif %}"
        "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    strict = [*ONLY_SFT, f"model={tiny_model_dir}", f"chat_template={template}"]
    with pytest.raises(InputError, match=r"rows cannot be used, more than max_malformed = 5.00% allows; the first"):
        run_recipe(tiny(tmp_path, *strict))
    run = run_recipe(tiny(tmp_path, *strict, "data.chats.max_malformed=0.5", f"output={tmp_path / 'patient'}"))
    data = json.loads((run / "report.json").read_text("utf-8"))["stages"]["sft"]["data"]
    assert any("no eights" in reason for reason in data["train"]["changed_or_dropped"])
    assert data["validation"] is not None


def test_too_little_text_for_a_tokenizer(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, "tokenizer.data=text")
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ConfigError, match="too little text"):
        run_recipe(recipe)


def test_the_tokenizer_and_data_are_prepared_once(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    recipe = load_recipe(path)
    with pytest.raises(_Stop):
        run_recipe(recipe, watcher=_Notes(stop_at="sft"))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "run").glob("data/pretrain/train/*")}
    before[tmp_path / "run" / "tokenizer" / "tokenizer.json"] = 0
    before = {file: file.stat().st_mtime_ns for file in before}
    run_recipe(recipe, resume=True)
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_a_run_that_goes_on_still_tells_what_was_read_at_first(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    with pytest.raises(_Stop):
        run_recipe(recipe, watcher=_Notes(stop_after=8))
    told = json.loads((tmp_path / "run" / "data" / "sft" / "report.json").read_text("utf-8"))
    run_recipe(recipe, resume=True)
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert report["stages"]["sft"]["data"] == told


def test_changed_data_is_noticed_by_a_run_that_goes_on(tmp_path: Path) -> None:
    recipe = tiny(tmp_path, stages={"pretrain": tiny(tmp_path).stages["pretrain"]})
    with pytest.raises(_Stop):
        run_recipe(recipe, watcher=_Notes(stop_after=4))
    text = tmp_path / "text.jsonl"
    tokenizer = (tmp_path / "run" / "tokenizer" / "tokenizer.json").read_bytes()
    before = text.read_text("utf-8")
    text.write_text(before.replace("sum", "difference"), "utf-8")
    with pytest.raises(ConfigError, match=r"is not what the checkpoint was trained on.*put them back"):
        run_recipe(recipe, resume=True)
    text.write_text(before, "utf-8")  # the same again, at another time
    run_recipe(recipe, resume=True)
    assert (tmp_path / "run" / "tokenizer" / "tokenizer.json").read_bytes() == tokenizer


def test_changed_data_makes_another_tokenizer_while_no_model_knows_the_first(tmp_path: Path) -> None:
    recipe = tiny(tmp_path)
    with pytest.raises(_Stop):
        run_recipe(recipe, watcher=_Notes(stop_at="pretrain"))
    text = tmp_path / "text.jsonl"
    text.write_text(text.read_text("utf-8").replace("sum", "difference"), "utf-8")
    with pytest.raises(_Stop):
        run_recipe(recipe, resume=True, watcher=_Notes(stop_at="pretrain"))
    assert "erence" in (tmp_path / "run" / "tokenizer" / "tokenizer.json").read_text("utf-8")


def test_classes_are_those_that_the_data_names(tmp_path: Path, tiny_model_dir: Path) -> None:
    rows = [{"text": f"number {n}", "label": ("odd" if n % 2 else "even")} for n in range(40)]
    (tmp_path / "classes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"max_length": 16, "max_steps": 2, "train_batch_size": 2}
    data = {"classify": str(tmp_path / "classes.jsonl")}
    recipe = tiny(tmp_path, data=data, stages={"classify": stage}, model=str(tiny_model_dir), tokenizer=None)
    run = run_recipe(recipe)
    assert Classifier.open(run / "model").labels == ("even", "odd")
    with pytest.raises(UnsupportedModelError, match="is a classifier"):
        Chat(run / "model").load_model()
    assert "chatwright chat" not in (run / "report.html").read_text("utf-8")
    assert any("evaluation.samples" in note and "classify" in note for note in outlook(recipe).notes)


class _Stop(Exception):
    pass


class _Notes(RunWatcher):
    """Keeps what it was told."""

    def __init__(self, stop_at: str | None = None, stop_after: int | None = None) -> None:
        self.reused: list[str] = []
        self._stop_after = stop_after
        self.samples: list[Sample] = []
        self._stop_at = stop_at

    def stage_reused(self, record: StageRecord) -> None:
        self.reused.append(record.name)

    def saved(self, path: Path, record: Any) -> None:
        if record["step"] == self._stop_after:
            raise _Stop

    def entered(self, phase: Any, stage: str | None) -> None:
        if stage is not None and stage == self._stop_at:
            raise _Stop
