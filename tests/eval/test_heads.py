"""Classifiers and reward models are asked by their own head, as transformers computes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from chatwright import LoadedModel, load_model
from chatwright.errors import ConfigError, InputError
from chatwright.eval import evaluate
from chatwright.model import save_model
from chatwright.model.score_head import ScoreHead, save_score_head
from chatwright.tokenizer import Tokenizer

TEXTS = ["hello the sky", "你好世界", "why", "who is blue", "what what what", "天空"]


def _folder(base: Path, folder: Path, labels: tuple[str, ...]) -> Path:
    model, tokenizer = load_model(base, dtype="float32"), Tokenizer.from_folder(base)
    save_model(model, folder)
    tokenizer.save(folder)
    weight = torch.randn(len(labels), model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    save_score_head(folder, ScoreHead(weight, labels), pad_token_id=0)
    return folder


@pytest.fixture
def classifier(tiny_model_dir: Path, tmp_path: Path) -> Iterator[LoadedModel]:
    folder = _folder(tiny_model_dir, tmp_path / "classifier", ("sad", "calm", "glad"))
    loaded = LoadedModel.open(folder, device="cpu", dtype="float32", kv_memory_bytes=8 << 20)
    yield loaded
    loaded.close()


@pytest.fixture
def reward_model(tiny_model_dir: Path, tmp_path: Path) -> Iterator[LoadedModel]:
    folder = _folder(tiny_model_dir, tmp_path / "reward", ("reward",))
    loaded = LoadedModel.open(folder, device="cpu", dtype="float32", kv_memory_bytes=8 << 20)
    yield loaded
    loaded.close()


@torch.no_grad()
def _scores(loaded: LoadedModel, texts: list[list[int]]) -> list[list[float]]:
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(loaded.source, dtype=torch.float32).eval()
    return [theirs(torch.tensor([ids])).logits[0].tolist() for ids in texts]


def _lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_classifier_names_its_classes(classifier: LoadedModel, tmp_path: Path) -> None:
    names = ("sad", "calm", "glad")
    expected = _scores(classifier, [classifier.tokenizer.encode(text) for text in TEXTS])
    best = [names[max(range(3), key=row.__getitem__)] for row in expected]
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, best, strict=True)]
    rows[0]["label"] = next(name for name in names if name != best[0])
    result = evaluate(classifier, [f"classify:{_lines(tmp_path / 'rows.jsonl', rows)}"]).tasks[0]
    assert result.form == "head"
    assert result.figures["acc"].value == pytest.approx(5 / 6)
    assert "macro_f1" in result.figures
    for sample, row in zip(result.samples, expected, strict=True):
        assert sample["scores"] == pytest.approx(row, abs=1e-3)
    wrong = _lines(tmp_path / "wrong.jsonl", [{"text": "hello", "label": "angry"}])
    with pytest.raises(InputError, match="'angry' is none of the model's: sad, calm, glad"):
        evaluate(classifier, [f"classify:{wrong}"])


def test_a_reward_model_prefers(reward_model: LoadedModel, tmp_path: Path) -> None:
    rows, right = [], 0
    for text in TEXTS:
        user = {"role": "user", "content": text}
        ids = []
        for answer in ("the sky", "天空为什么"):
            rendered = reward_model.template.render([user, {"role": "assistant", "content": answer}]).ids
            end = reward_model.template.turn_end_id
            ids.append(rendered[: len(rendered) - rendered[::-1].index(end)])  # the newline after the turn says nothing
        (first,), (second,) = _scores(reward_model, ids)
        right += first > second
        rows.append({"prompt": text, "chosen": "the sky", "rejected": "天空为什么"})
    result = evaluate(reward_model, [f"preference:{_lines(tmp_path / 'rows.jsonl', rows)}"]).tasks[0]
    assert result.figures.keys() == {"acc"}
    assert result.figures["acc"].value == pytest.approx(right / len(TEXTS))


def test_a_model_without_classes_says_so(tiny_loaded: LoadedModel, tmp_path: Path) -> None:
    rows = _lines(tmp_path / "rows.jsonl", [{"text": "hello", "label": "glad"}])
    with pytest.raises(ConfigError, match="has no head for classes; train one"):
        evaluate(tiny_loaded, [f"classify:{rows}"])
