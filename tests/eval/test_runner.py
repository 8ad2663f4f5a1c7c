"""Evaluation from end to end on a tiny model whose right answers are known, since they are its own."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from chatwright import LoadedModel, SamplingParams
from chatwright.errors import ConfigError, InvalidParameterError
from chatwright.eval import EvalReport, Task, evaluate, load_task

QUESTIONS = ["hello", "why is the sky blue", "你好", "who", "what is blue"]


def _lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def _own_answer(loaded: LoadedModel, question: str, tokens: int) -> str:
    ids = loaded.template.render([{"role": "user", "content": question}], add_generation_prompt=True).ids
    params = SamplingParams(temperature=0.0, max_tokens=tokens)
    return loaded.engine.submit(ids, params).result()[0].text


def _log_prob(loaded: LoadedModel, ids: list[int], start: int) -> float:
    """Of the tokens from ``start``, computed with the module alone."""
    model = loaded.engine.model
    assert model is not None
    with torch.no_grad():
        rows_TV = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    return sum(float(rows_TV[at - 1, ids[at]]) for at in range(start, len(ids)))


@pytest.fixture(scope="module")
def own_answers(tiny_loaded: LoadedModel) -> list[str]:
    return [_own_answer(tiny_loaded, question, 8) for question in QUESTIONS]


def test_answers_are_graded_by_group(tiny_loaded: LoadedModel, own_answers: list[str], tmp_path: Path) -> None:
    rows = [
        {"prompt": question, "answer": answer if index < 3 else "no", "skill": "known" if index < 3 else "unknown"}
        for index, (question, answer) in enumerate(zip(QUESTIONS, own_answers, strict=True))
    ]
    task = load_task(f"exact:{_lines(tmp_path / 'q.jsonl', *rows)}").replace(group="skill", max_tokens=8)
    seen: list[tuple[str, int, int]] = []
    report = evaluate(tiny_loaded, [task], progress=lambda name, done, total: seen.append((name, done, total)))
    (result,) = report.tasks
    assert result.form == "chat"
    assert report.figures["exact+q"]["exact"] == pytest.approx(0.6)
    assert report.figures["exact+q"]["exact/known"] == 1.0
    assert report.figures["exact+q"]["exact/unknown"] == 0.0
    assert result.groups["known"].n == 3
    assert result.counts["truncated"] == sum(sample["finish_reason"] == "length" for sample in result.samples)
    assert [sample["answer"] for sample in result.samples] == own_answers
    assert (seen[0], seen[-1]) == (("exact+q", 0, 5), ("exact+q", 5, 5))


def test_the_pattern_chooses_what_is_graded(tiny_loaded: LoadedModel, own_answers: list[str], tmp_path: Path) -> None:
    rows = [{"q": question, "a": answer[:1]} for question, answer in zip(QUESTIONS, own_answers, strict=True)]
    data = {"path": str(_lines(tmp_path / "q.jsonl", *rows))}
    task = Task(
        name="first",
        kind="generate",
        data=data,
        prompt="{{ q }}",
        answer="a",
        extract="^(.)",
        max_tokens=8,  # type: ignore[arg-type]
    )
    assert evaluate(tiny_loaded, [task]).figures["first"]["exact"] == 1.0
    none = evaluate(tiny_loaded, [task.replace(extract="@{99}")]).tasks[0]
    assert none.figures["exact"].value == 0.0
    assert none.counts["unextracted"] == 5


def test_choices_are_taken_by_likelihood(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    """Plain text: each choice is scored by itself with the module, and the likeliest is declared right or wrong."""
    tokenizer = tiny_loaded.tokenizer
    choices = ["the sky", "blue", "天空为什么", "who who who"]
    rows = []
    for index, question in enumerate(QUESTIONS):
        prompt = tokenizer.encode(question)
        scores = []
        for choice in choices:
            whole = tokenizer.encode(f"{question} {choice}")
            assert whole[: len(prompt)] == prompt
            scores.append(_log_prob(tiny_loaded, whole, len(prompt)))
        best = max(range(4), key=scores.__getitem__)
        rows.append({"question": question, "choices": choices, "answer": best if index < 4 else (best + 1) % 4})
    report = evaluate(tiny_loaded, [f"choice:{_lines(tmp_path / 'c.jsonl', *rows)}"])
    result = report.tasks[0]
    assert result.form == "plain"
    assert result.figures["acc"].value == pytest.approx(0.8)
    assert {"acc", "acc_norm", "brier", "ece"} == result.figures.keys()
    assert sum(bin_.count for bin_ in result.reliability) == 5
    chat = load_task(f"choice:{tmp_path / 'c.jsonl'}").replace(form="chat")
    assert evaluate(tiny_loaded, [chat]).tasks[0].samples[0]["prompt"].startswith("<|im_start|>user\nhello<|im_end|>")


def test_classes_and_preferences(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    """A preferred answer is scored with the end of its turn, as the chat template writes both."""
    rows = []
    for index, question in enumerate(QUESTIONS):
        user = {"role": "user", "content": question}
        start = len(tiny_loaded.template.render([user], add_generation_prompt=True).ids)
        scores = {}
        for answer in ("the sky", "天空为什么"):
            whole = tiny_loaded.template.render([user, {"role": "assistant", "content": answer}]).ids
            scores[answer] = _log_prob(tiny_loaded, whole, start)
        worse, better = sorted(scores, key=scores.__getitem__)
        chosen, rejected = (better, worse) if index < 4 else (worse, better)
        rows.append({"prompt": question, "chosen": chosen, "rejected": rejected})
    pairs = _lines(tmp_path / "p.jsonl", *rows)
    reviews = _lines(tmp_path / "r.jsonl", *({"sentence": q, "label": i % 2} for i, q in enumerate(QUESTIONS)))
    same = _lines(tmp_path / "same.jsonl", {"question": "hello", "choices": ["sky", "sky"], "answer": 0})
    report = evaluate(tiny_loaded, [f"sst2:{reviews}", f"preference:{pairs}", f"choice:{same}"])
    assert {"acc", "macro_f1", "brier", "ece"} == report.tasks[0].figures.keys()
    assert report.tasks[1].form == "chat"
    assert report.figures["preference+p"]["acc"] == pytest.approx(0.8)
    assert report.figures["choice+same"]["acc"] == 0.0  # a tie is no merit, though the right one comes first


def test_perplexity_is_that_of_the_module(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    text = "hello the sky is blue, 你好世界 " * 12
    (tmp_path / "t.txt").write_text(text, "utf-8")
    tokenizer = tiny_loaded.tokenizer
    assert tokenizer.bos_id is not None
    ids = [tokenizer.bos_id, *tokenizer.encode(text.strip())]
    nats = -_log_prob(tiny_loaded, ids, 1)
    figures = evaluate(tiny_loaded, [f"perplexity:{tmp_path / 't.txt'}"]).figures["perplexity+t"]
    assert figures["perplexity"] == pytest.approx(math.exp(nats / (len(ids) - 1)), rel=1e-4)
    assert figures["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text.strip().encode()), rel=1e-4)
    short = load_task(f"perplexity:{tmp_path / 't.txt'}").replace(window=32, stride=8)
    result = evaluate(tiny_loaded, [short]).tasks[0]
    assert sum(sample["tokens"] for sample in result.samples) == len(ids) - 1
    assert sum(sample["bytes"] for sample in result.samples) == pytest.approx(len(text.strip().encode()), abs=1)
    with pytest.raises(ConfigError, match="stride is 32; it must be less than the window"):
        evaluate(tiny_loaded, [short.replace(stride=32)])


def test_examples_give_way_to_the_context(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    rows = [{"question": "why " * 90, "choices": ["a", "b"], "answer": 0} for _ in range(8)]
    rows.append({"question": "why " * 800, "choices": ["a", "b"], "answer": 0})
    task = load_task(f"choice:{_lines(tmp_path / 'c.jsonl', *rows)}").replace(fewshot=6)
    result = evaluate(tiny_loaded, [task]).tasks[0]
    assert result.n == 2
    assert result.counts["overlong"] == 1
    assert result.counts["dropped_shots"] > 0
    with pytest.raises(ConfigError, match="no question fits the model's context of 512 tokens"):
        evaluate(tiny_loaded, [load_task(f"choice:{_lines(tmp_path / 'd.jsonl', rows[-1])}")])


def test_a_model_without_template_is_asked_in_plain_text(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    from dataclasses import replace

    from chatwright.chat import ChatTemplate
    from chatwright.tokenizer import Tokenizer

    base = replace(tiny_loaded, template=ChatTemplate(Tokenizer.from_json(tiny_loaded.tokenizer.json())))
    task = load_task(f"exact:{_lines(tmp_path / 'q.jsonl', {'prompt': 'hello', 'answer': 'x'})}").replace(max_tokens=4)
    result = evaluate(base, [task]).tasks[0]
    assert (result.form, result.samples[0]["prompt"]) == ("plain", "hello")
    with pytest.raises(ConfigError, match="has no chat template; write `form: plain`"):
        evaluate(base, [task.replace(form="chat")])


def test_the_report_is_kept(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    rows = [{"question": q, "choices": ["a", "b"], "answer": i % 2} for i, q in enumerate(QUESTIONS)]
    path = _lines(tmp_path / "c.jsonl", *rows)
    report = evaluate(tiny_loaded, [f"choice:{path}"], limit=4, seed=3)
    assert report.to_json()["tasks"]["choice+c"]["n"] == 4
    again = evaluate(tiny_loaded, [f"choice:{path}"], limit=4, seed=3)
    assert again.tasks[0].figures == report.tasks[0].figures
    report.save(tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert saved["schema"] == 1
    assert saved["seed"] == 3
    assert saved["settings"] == {"limit": 4}
    assert saved["model"]["parameters"] > 0
    assert {"chatwright", "torch", "sacrebleu"} <= saved["versions"].keys()
    result = saved["tasks"]["choice+c"]
    assert result["settings"]["data"]["path"] == str(path)
    assert result["figures"]["acc"].keys() == {"value", "low", "high", "interval"}
    assert len(result["reliability"]) == 10
    assert len((tmp_path / "out" / "samples" / "choice+c.jsonl").read_text("utf-8").splitlines()) == 4
    assert (tmp_path / "out" / "report.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    report.save(tmp_path / "only.json")
    assert json.loads((tmp_path / "only.json").read_text("utf-8"))["tasks"] == saved["tasks"]


@pytest.mark.parametrize(
    ("tasks", "limit", "error", "complaint"),
    [
        ([], None, ConfigError, "no task is given"),
        (["choice:a.jsonl"], 0, InvalidParameterError, "limit is 0"),
        (["choice:a.jsonl", "choice:b/a.jsonl"], None, ConfigError, r"two tasks are called choice\+a"),
    ],
)
def test_what_cannot_be_run_is_said(
    tasks: list[str], limit: int | None, error: type[Exception], complaint: str, tiny_loaded: LoadedModel
) -> None:
    with pytest.raises(error, match=complaint):
        _: EvalReport = evaluate(tiny_loaded, tasks, limit=limit)
