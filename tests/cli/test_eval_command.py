"""``chatwright eval``."""

import json
from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [{"question": f"hello {i}", "choices": ["sky", "blue"], "answer": i % 2} for i in range(4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_table_and_a_folder(run: Run, rows: Path, tmp_path: Path) -> None:
    result = run("eval", "--tasks", f"choice:{rows}", "-n", "3", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "choice+rows" in result.stdout
    assert "acc_norm" in result.stdout
    assert (tmp_path / "out" / "report.png").is_file()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["tasks"]["choice+rows"]["n"] == 3


def test_json_is_one_object(run: Run, rows: Path) -> None:
    result = run("eval", "-t", f"choice:{rows}", "--json", "--form", "chat", "--fewshot", "1")
    report = json.loads(result.stdout)
    assert report["tasks"]["choice+rows"]["form"] == "chat"
    assert report["tasks"]["choice+rows"]["n"] == 3  # the first is the example


def test_the_list_needs_no_model(run: Run) -> None:
    assert "gsm8k" in run("eval", "--list").stdout
    listed = {task["name"]: task["kind"] for task in json.loads(run("eval", "--list", "--json").stdout)}
    assert listed["quickstart"] == "generate"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "chatwright eval --list"),
        (["--tasks", "gsm9k"], "did you mean gsm8k"),
        (["--tasks", "choice:nowhere.jsonl"], "there is no file or folder nowhere.jsonl"),
        (["--tasks", "gsm8k", "--include-path", "x"], "no effect without --lm-eval"),
    ],
)
def test_mistakes_are_one_sentence(run: Run, arguments: list[str], complaint: str) -> None:
    result = run("eval", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_what_means_nothing_to_a_task_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("hello the sky is blue")
    result = run("eval", "--tasks", f"perplexity:{tmp_path / 't.txt'}", "--fewshot", "2")
    assert result.exit_code == 0
    assert "--fewshot means nothing to perplexity+t" in result.stderr


def test_tasks_of_the_harness(run: Run, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        f"task: own\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {rows}}}}}\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{ question }}"\ndoc_to_choice: "{{ choices }}"\n'
        'doc_to_target: "{{ answer }}"\nmetric_list: [{metric: acc}]\n'
    )
    result = run("eval", "--lm-eval", "own", "--include-path", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["tasks"]["own"]["kind"] == "lm-eval"
    assert report["tasks"]["own"]["n"] == 4
