"""What the documentation shows works, and its two languages say the same."""

import os
import re
import shlex
from pathlib import Path

import pytest

from chatwright import LoadedModel
from chatwright.model import resolve
from docs.generate import LANGUAGES, reference
from tests.conftest import Run

ROOT = Path(__file__).parents[1]
TWINS = [("README.md", "README.zh-CN.md"), ("docs/tutorial.md", "docs/tutorial.zh-CN.md")]
PAGES = [page for twins in TWINS for page in twins]
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
    commands = [shlex.split(command) for command in _commands(page)]
    assert len(commands) >= 5
    for _, *arguments in commands:
        if arguments == ["chat"] or "pull" in arguments or "qwen3-0.6b" in arguments or "./folder" in arguments:
            arguments.append("--help")  # needs a terminal, a network or a model: only whether the options exist
        elif arguments[0] == "chat":
            arguments += ["--max-tokens", "8"]
        elif arguments[0] == "export":
            arguments[1] = str(tiny_model_dir)
        result = run(*arguments)
        assert result.exit_code == 0, f"{arguments}: {result.output}"


@pytest.mark.parametrize(("english", "chinese"), TWINS)
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
    code = [[strip.sub("", block) for block in _blocks(page, "python")] for page in (english, chinese)]
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
