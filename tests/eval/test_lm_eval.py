"""Our models under lm-eval, with tasks of our own: a YAML file and JSON lines, nothing from the network."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from chatwright import LoadedModel
from chatwright.errors import ConfigError
from chatwright.eval import evaluate
from chatwright.eval.lm_eval_adapter import run_lm_eval
from chatwright.eval.runner import scoring_model

QUESTIONS = ["why is the sky", "hello", "who is blue", "what", "你好，天空", "is the sky"]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: {kind}
test_split: test
doc_to_text: "{{{{ question }}}}"
{more}
"""
CHOICES = """doc_to_choice: "{{ choices }}"
doc_to_target: "{{ answer }}"
metric_list: [{metric: acc}, {metric: acc_norm}]"""
ANSWERS = """doc_to_target: "{{ text }}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 6, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]"""
TEXTS = """doc_to_target: "{{ text }}"
metric_list: [{metric: bits_per_byte}]"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [
        {"question": question, "choices": ["blue", "the sky", "天空"], "answer": i % 3, "text": "hello the sky is blue"}
        for i, question in enumerate(QUESTIONS)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    kinds = {
        "own_choice": ("multiple_choice", CHOICES),
        "own_answers": ("generate_until", ANSWERS),
        "own_texts": ("loglikelihood_rolling", TEXTS),
    }
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name, (kind, more) in kinds.items():
        (tasks / f"{name}.yaml").write_text(TASK.format(name=name, kind=kind, data=data, more=more), "utf-8")
    return tasks


def _run(loaded: LoadedModel, folder: Path, *tasks: str, **options: Any) -> dict[str, Any]:
    results = run_lm_eval(loaded, scoring_model(loaded), tasks, include_path=folder, **options)
    return {result.name: result for result in results}


def test_the_harness_agrees_with_our_own_tasks(tiny_loaded: LoadedModel, folder: Path) -> None:
    found = _run(tiny_loaded, folder, "own_choice", "own_texts")
    ours = evaluate(tiny_loaded, [f"choice:{folder.parent / 'rows.jsonl'}"])
    assert found["own_choice"].n == len(QUESTIONS)
    theirs = [[response[0][0] for response in sample["filtered_resps"]] for sample in _responses(found["own_choice"])]
    for sample, row in zip(ours.tasks[0].samples, theirs, strict=True):
        assert sample["scores"] == pytest.approx(row, abs=1e-3)
    assert found["own_choice"].figures["acc"].value == pytest.approx(ours.figures["choice+rows"]["acc"])
    texts = folder.parent / "texts.jsonl"
    texts.write_text(json.dumps({"text": "hello the sky is blue"}) + "\n")
    own = evaluate(tiny_loaded, [f"perplexity:{texts}"]).figures["perplexity+texts"]["bits_per_byte"]
    assert found["own_texts"].figures["bits_per_byte"].value == pytest.approx(own, rel=1e-4)
    assert math.isfinite(found["own_choice"].figures["acc"].low)


def _responses(result: Any) -> list[dict[str, Any]]:
    return [{"filtered_resps": [[response] for response in sample["filtered_resps"]]} for sample in result.samples]


def test_answers_are_written_with_and_without_the_chat_template(tiny_loaded: LoadedModel, folder: Path) -> None:
    plain = _run(tiny_loaded, folder, "own_answers", limit=3)["own_answers"]
    chat = _run(tiny_loaded, folder, "own_answers", limit=3, chat=True)["own_answers"]
    assert (plain.n, chat.n, chat.form) == (3, 3, "chat")
    answer = _chat_answer(tiny_loaded, QUESTIONS[0])
    assert _text(chat.samples[0]) == answer
    assert _text(plain.samples[0]) != answer


def _text(sample: dict[str, Any]) -> str:
    return str(sample["resps"][0][0])


def _chat_answer(loaded: LoadedModel, question: str) -> str:
    from chatwright import SamplingParams

    ids = loaded.template.render([{"role": "user", "content": question}], add_generation_prompt=True).ids
    params = SamplingParams(temperature=0.0, max_tokens=6, stop=("\n",))
    return loaded.engine.submit(ids, params).result()[0].text


def test_an_unknown_task_is_said(tiny_loaded: LoadedModel, folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no task 'own_choise' in"):
        _run(tiny_loaded, folder, "own_choise")
