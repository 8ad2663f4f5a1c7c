"""Training rows that hold what a model will be examined with are found, and others are not."""

import json
from pathlib import Path

from chatwright.chat import Message
from chatwright.data.contamination import EvaluationTexts
from chatwright.data.report import DataReport
from chatwright.data.rows import Dialogue, Text
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows

QUESTION = "Janet has sixteen ducks that lay three eggs a day; how many eggs does she sell at the market in a week?"
FRAGE = "珍妮特的鸭子每天下十六颗蛋，她每天早上早餐时吃三颗，剩下的鸭蛋每天拿去农贸市场卖，她每天赚多少钱？"
SHORT = "中国的首都是哪一座城市？"


def asked(question: str) -> Dialogue:
    return Dialogue((Message("user", question), Message("assistant", "It cannot be said.")))


def test_passages_are_found_in_both_languages_whatever_stands_around_them() -> None:
    evaluation = EvaluationTexts([{"question": QUESTION, "answer": "It cannot be said."}, {"data": [{"q": [FRAGE]}]}])
    assert Text(f"Once upon a time. {QUESTION.upper()[10:90]} And so on.") in evaluation
    assert Text("前文。" + FRAGE.replace("，", "\n")[3:33] + "后文。") in evaluation
    assert asked(QUESTION) in evaluation
    assert Text(QUESTION[:40]) not in evaluation
    assert Text("Janet sells ducks. " * 20) not in evaluation


def test_short_questions_are_found_only_alone_and_short_answers_never() -> None:
    evaluation = EvaluationTexts([{"question": SHORT, "answer": "It cannot be said."}])
    assert asked("中国的首都是哪一座城市") in evaluation
    assert asked(f"{SHORT}请详细回答。") not in evaluation
    assert asked("Another question?") not in evaluation


def test_what_many_items_share_is_boilerplate() -> None:
    task = "Read the following passage with great care and answer the question that comes after it: "
    evaluation = EvaluationTexts([{"prompt": f"{task} {number} {QUESTION[number:]}"} for number in range(40)])
    assert Text(task + "something else entirely that nobody is asked about anywhere") not in evaluation


def test_nothing_to_compare_with_finds_nothing() -> None:
    assert Text(QUESTION) not in EvaluationTexts([])


def test_contaminated_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "eval.json").write_text(json.dumps([{"anything": {"deep": [QUESTION]}}]))
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ("clean", QUESTION)))
    settings = DataSettings.model_validate(
        {"path": str(tmp_path / "train.jsonl"), "contamination": str(tmp_path / "eval.json")}
    )
    report = DataReport()
    assert list(read_rows(settings, kinds=(Text,), report=report)) == [Text("clean")]
    assert report.dropped == {"in the evaluation data": 1}
