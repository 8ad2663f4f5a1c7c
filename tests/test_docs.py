"""What the documentation shows works, and its two languages say the same."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from chatwright import LoadedModel
from chatwright.data.formats import parse_row
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Text
from chatwright.eval.tasks import read_task
from chatwright.model import resolve
from chatwright.train.metrics import JsonLines
from chatwright.train.pipeline import run_recipe
from docs.generate import LANGUAGES, TABLED, reference
from docs.tables import Language, untranslated, unused, written
from tests.conftest import Run
from tests.train.tiny_recipe import tiny

ROOT = Path(__file__).parents[1]
TWINS = [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/tutorial.zh-CN.md")]
PAGES = [page for twins in TWINS for page in twins]
REFERENCE = [
    (f"docs/reference/{name}.md", f"docs/reference/{name}.zh-CN.md")
    for name in ("README", "recipes", "data", "runs", "evaluation", "server")
]
HOW_TO = [("docs/how-to/serve.md", "docs/how-to/serve.zh-CN.md")]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)(?:#([^)]+))?\)")


def _blocks(page: str, language: str) -> list[str]:
    return [code for kind, code in FENCE.findall((ROOT / page).read_text("utf-8")) if kind == language]


def _commands(page: str) -> list[str]:
    """The ``chatwright`` commands of a page, without pipes from files and comments."""
    lines = [line.split(" # ")[0].strip() for block in _blocks(page, "sh") for line in block.splitlines()]
    return [line[line.index("chatwright") :].split(" | ")[0] for line in lines if "chatwright " in line]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(
    page: str, tiny_loaded: LoadedModel, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "resolve_model", lambda name=None: tiny_model_dir)
    monkeypatch.setattr("chatwright.session.resolve_model", lambda name=None: tiny_model_dir)
    monkeypatch.setattr("chatwright.loaded.resolve_model", lambda name=None: tiny_model_dir)
    monkeypatch.setattr(LoadedModel, "open", lambda source, **options: tiny_loaded)
    monkeypatch.setattr(LoadedModel, "close", lambda self: None)
    monkeypatch.chdir(tmp_path)
    blocks = _blocks(page, "python")
    assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, page, "exec"), {})  # noqa: S102  (our own documentation)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, run: Run, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resolve, "find_embedded", lambda file: None)
    _write_what_a_reader_has(page, tmp_path, tiny_model_dir)
    commands = [shlex.split(command) for command in _commands(page)]
    assert len(commands) >= 5
    for _, *arguments in commands:
        if arguments == ["chat"] or "pull" in arguments or "qwen3-0.6b" in arguments or "./folder" in arguments:
            arguments.append("--help")  # needs a terminal, a network or a model: only whether the options exist
        elif arguments[0] == "chat":
            arguments += ["--max-tokens", "8"]
        elif arguments[0] == "serve":
            arguments.append("--print-config")  # tests/server starts servers
        elif arguments[0] == "export":
            arguments[1] = str(tiny_model_dir)
        elif arguments[0] == "train":
            arguments += _shortened(arguments)
        elif arguments[0] == "eval" and "--list" not in arguments:
            arguments += ["--limit", "2"]
        elif arguments[0] == "sweep":
            arguments.append("--help")  # trains in processes of its own; tests/train has trials
        result = run(*arguments, input="a password of one's own\n" if "--password-stdin" in arguments else None)
        assert result.exit_code == 0, f"{arguments}: {result.output}"


def _shortened(arguments: list[str]) -> list[str]:
    """The page's own recipe is trained, two steps a stage; of others only the plan is made."""
    if arguments[1] != "my-gpt.yaml" or "--name" in arguments:
        return [] if "--dry-run" in arguments else ["--dry-run"]
    changes = [f"stages.{stage}.max_steps=2" for stage in ("pretrain", "sft", "dpo")]
    return [part for change in (*changes, "evaluation.sample_tokens=4") for part in ("--set", change)]


def _write_what_a_reader_has(page: str, folder: Path, model: Path) -> None:
    """The repository's recipes, those that the page shows (their first line names the file), and data of one's own.

    Of runs that take long, the result is there already.
    """
    (folder / "recipes").symlink_to(ROOT / "recipes")
    for name in ("quickstart", "finetune-smollm2"):
        (folder / "runs" / name).mkdir(parents=True)
        (folder / "runs" / name / "model").symlink_to(model)
    for block in _blocks(page, "yaml"):
        (folder / block.splitlines()[0].removeprefix("# ")).write_text(block, "utf-8")
    numbers = range(40)
    chat = [{"messages": [_said("user", f"And {n}?"), _said("assistant", f"It is {n + 1}.")]} for n in numbers]
    pairs = [{"prompt": f"And {n}?", "chosen": f"It is {n + 1}.", "rejected": "Who knows."} for n in numbers]
    questions = [{"prompt": f"And {n}?", "answer": f"It is {n + 1}."} for n in numbers]
    for name, rows in (("my-chats", chat), ("my-pairs", pairs), ("questions", questions)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "my-texts").mkdir()
    book = (ROOT / "benchmarks" / "text" / "time_machine.txt").read_text("utf-8")
    (folder / "my-texts" / "book.txt").write_text(book, "utf-8")


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(("english", "chinese"), TWINS + REFERENCE + HOW_TO)
def test_both_languages_are_in_step(english: str, chinese: str) -> None:
    def shape(page: str) -> list[str]:
        text = (ROOT / page).read_text("utf-8")
        outside = FENCE.sub(lambda block: f"```{block[1]}", text)
        kinds = {"|": "row", "``": "code", "![": "picture", "- ": "item"}
        marks = [
            line[: len(line) - len(line.lstrip("#"))] or kinds.get(line[:2], kinds.get(line[:1], ""))
            for line in outside.splitlines()
            if line
        ]
        return [mark for mark in marks if mark]

    assert shape(english) == shape(chinese)
    assert len(_commands(english)) == len(_commands(chinese))
    strip = re.compile(r"#.*")
    code = [
        [strip.sub("", block) for kind in ("python", "yaml") for block in _blocks(page, kind)]
        for page in (english, chinese)
    ]
    assert code[0] == code[1]


@pytest.mark.parametrize(
    "page", sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_every_link_leads_somewhere(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text("utf-8"))
    for target, anchor in LINK.findall(text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path = (ROOT / page).parent / target
        assert path.exists(), f"{page}: {target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("language", "page"), LANGUAGES.items())
def test_the_reference_is_what_the_program_says(language: str, page: str) -> None:
    assert (ROOT / "docs" / "reference" / page).read_text("utf-8") == reference(language), "run `make docs`"


@pytest.mark.parametrize(("page", "language"), TABLED.items())
def test_the_tables_are_what_the_program_says(page: str, language: Language) -> None:
    text = (ROOT / "docs" / "reference" / page).read_text("utf-8")
    assert text == written(text, language), "run `make docs`"


def test_every_setting_is_described_in_chinese() -> None:
    assert untranslated() == set(), "add them to docs/chinese.yaml"
    assert unused() == set(), "remove them from docs/chinese.yaml"


@pytest.mark.parametrize("page", ["docs/reference/data.md", "docs/reference/data.zh-CN.md"])
def test_the_rows_that_the_reference_shows_are_recognised(page: str) -> None:
    kinds = (Text, Dialogue, Preference, Rated, Labelled, Prompt)
    for kind, block in zip(kinds, _blocks(page, "jsonl"), strict=True):
        assert {type(parse_row(json.loads(row), (kind,))) for row in block.splitlines()} == {kind}


def test_a_task_that_the_reference_shows_is_one(tmp_path: Path) -> None:
    (tmp_path / "capitals.yaml").write_text(_blocks("docs/reference/evaluation.md", "yaml")[0], "utf-8")
    assert read_task(tmp_path / "capitals.yaml").name == "capitals"


def test_every_file_of_a_run_and_every_key_of_its_metrics_is_explained(tmp_path: Path) -> None:
    folder = run_recipe(tiny(tmp_path))
    keys = {key.removeprefix("eval_") for record in JsonLines(folder / "metrics.jsonl") for key in record}
    files = {re.sub(r"\d+$", "", entry.name) for entry in folder.iterdir() if not entry.name.startswith(".")}
    for page in ("docs/reference/runs.md", "docs/reference/runs.zh-CN.md"):
        text = (ROOT / page).read_text("utf-8")
        assert [key for key in sorted(keys) if f"`{key}`" not in text and f"`eval_{key}`" not in text] == []
        assert [name for name in sorted(files) if f"`{name}" not in text] == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    assert [page.name for page in sorted(folder.glob("0*.md")) if page.name not in index] == []


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    for command in ("make check", "make test"):
        assert command in script
        assert command in readme
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
