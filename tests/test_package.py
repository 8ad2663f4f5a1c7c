"""The package as a stranger meets it: quick to import, with the names it promises, and imports that go one way."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import chatwright

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "numba",
    "llvmlite",
    "transformers",
    "tokenizers",
    "numpy",
    "gguf",
    "huggingface_hub",
    "prompt_toolkit",
)


def _modules_after(code: str) -> set[str]:
    """What is loaded in a fresh process after ``code``."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.__stdout__)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_loads_nothing_heavy() -> None:
    assert not _modules_after("import chatwright").intersection(HEAVY)


@pytest.mark.parametrize(
    "command", [[], ["chat"], ["models"], ["models", "pull"], ["data"], ["data", "preview"], ["eval"], ["export"]]
)
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['chatwright', *{command!r}, '--help']\n"
        "from chatwright.cli.app import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code"
    )
    assert not _modules_after(code).intersection(HEAVY)


def test_sampling_parameters_need_no_torch() -> None:
    assert "torch" not in _modules_after("from chatwright import SamplingParams, Constraint, resolve_model, pull")


@pytest.mark.parametrize("name", chatwright.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(chatwright, name) is not None
    assert name in dir(chatwright)


def test_public_names_are_these() -> None:
    assert set(chatwright.__all__) == {
        "Chat",
        "ChatwrightError",
        "Classifier",
        "Constraint",
        "LoadedModel",
        "Reply",
        "SamplingParams",
        "Tokenizer",
        "__version__",
        "export_model",
        "load_model",
        "load_tokenizer",
        "pull",
        "resolve_model",
    }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        chatwright.no_such_name  # noqa: B018


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert chatwright.__version__ == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_error_is_a_chatwright_error() -> None:
    from chatwright import errors

    raised = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(raised) > 5
    assert all(issubclass(error, chatwright.ChatwrightError) for error in raised)


def test_every_pin_is_exact_and_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line for line in pins)
    pinned = {_canonical(line.split("==")[0]) for line in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra if name[:11] != "chatwright["),
    ]
    missing = [need for need in wanted if _canonical(need.split(">")[0].split("[")[0]) not in pinned]
    assert not missing


def _canonical(name: str) -> str:
    return name.strip().lower().replace("_", "-")
