"""What is asked of a model, and what counts as right: tasks as small files that people can read and write."""

import difflib
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from chatwright.data.settings import DataSettings, Settings
from chatwright.errors import ConfigError
from chatwright.eval.graders import GraderName

Kind = Literal["generate", "choice", "classify", "preference", "perplexity"]
Form = Literal["auto", "chat", "plain"]

_ASKING = {"prompt", "form", "delimiter", "answer", "group", "fewshot", "fewshot_data", "fewshot_answer", "configs"}
_CHOOSING = _ASKING | {"choices"}
# Which settings mean something to which kind; any other would be ignored, and so is refused.
_OF_KIND: dict[Kind, set[str]] = {
    "generate": _ASKING | {"extract", "graders", "language", "stop", "max_tokens"},
    "choice": _CHOOSING,
    "classify": _CHOOSING,
    "preference": {"form", "delimiter", "configs"},
    "perplexity": {"window", "stride", "configs"},
}
_COMMON = {"name", "description", "kind", "data"}


class Turn(Settings):
    """One message of a prompt, its content a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class Task(Settings):
    """An evaluation: data, how a question is put, what is right.

    Without ``prompt`` the data's own format says what is asked (``{prompt | messages, answer}``, chats, preference
    pairs, texts). With it, any JSON lines, CSV, Parquet or hub set will do: templates and expressions are Jinja's, and
    see the record's keys as variables, and all of it as ``row``.
    """

    model_config = ConfigDict(**Settings.model_config, validate_default=True)

    name: str = Field(pattern=r"^[\w.+-]+$", description="how reports call it")
    description: str = Field("", description="one line for `chatwright eval --list`")
    kind: Kind = Field(
        description="generate: write an answer; choice: pick by likelihood; classify: likewise, with the same classes "
        "for all, or by the model's own classifier where there is no prompt; preference: which of two answers is "
        "likelier, or has the higher reward; perplexity: how likely a text is"
    )
    data: DataSettings | None = Field(None, description="what is asked; none: it is given as NAME:FILE")
    configs: tuple[str, ...] = Field((), description="configurations of a hub's set, read in turn; each is a group")

    form: Form = Field(
        "auto",
        description="chat: through the chat template; plain: as running text; auto: chat where the model has a "
        "template, but plain for a choice, as published figures are",
    )
    prompt: str | tuple[Turn, ...] | None = Field(None, description="template of the question, or of several messages")
    delimiter: str = Field(" ", description="between question and answer in the plain form")
    choices: str | tuple[str, ...] | None = Field(None, description="the choices, or an expression that gives them")
    answer: str | None = Field(
        None, description="expression: the right answer or a list of them; for a choice its text or its index"
    )
    group: str | None = Field(None, description="expression; figures are also given for each of its values")
    fewshot: int = Field(0, ge=0, le=64, description="so many solved examples precede the question")
    fewshot_data: DataSettings | None = Field(None, description="where they come from; none: the first rows of data")
    fewshot_answer: str | None = Field(None, description="expression: the answer as an example shows it")

    extract: str | None = Field(None, description="regular expression: the part of an answer that is graded (group 1)")
    graders: tuple[GraderName, ...] = Field(("exact",), min_length=1, description="what makes an answer right")
    language: Literal["en", "zh"] | None = Field(None, description="for BLEU; none: that of the references")
    stop: tuple[str, ...] = Field(("\n\n",), description="texts that end an answer in the plain form")
    max_tokens: int = Field(256, ge=1, description="longest answer")

    window: int = Field(1024, ge=2, description="tokens that are scored together, at most the model's context")
    stride: int | None = Field(None, ge=1, description="tokens that a window moves on; none: half of it")

    @model_validator(mode="after")
    def _has_effect(self) -> "Task":
        known = _COMMON | _OF_KIND[self.kind]
        useless = sorted(self.model_fields_set - known)
        if useless:
            raise ValueError(f"{useless[0]} has no effect on a task of kind {self.kind}; leave it out")
        given = {bool(self.prompt), bool(self.choices), bool(self.answer)}
        if given == {True, False} and self.kind == "classify":
            raise ValueError("prompt, choices and answer go together: all, or none where a classifier is asked")
        if False in given and self.kind == "choice":
            raise ValueError("a task of kind choice needs prompt, choices and answer")
        if self.kind == "classify" and isinstance(self.choices, str):
            raise ValueError("choices of a classification are a list: the same classes for every question")
        if self.kind == "generate" and bool(self.prompt) != bool(self.answer):
            raise ValueError("prompt and answer go together: both, or neither where the data has its own format")
        if self.prompt is None and self.fewshot_answer is not None:
            raise ValueError("fewshot_answer has no effect without prompt; leave it out")
        if self.fewshot == 0 and (self.fewshot_data is not None or self.fewshot_answer is not None):
            raise ValueError(
                "fewshot_data and fewshot_answer have no effect while fewshot is 0; set it, or leave them out"
            )
        if self.extract is not None:
            _check_pattern(self.extract)
        return self

    def knows(self, key: str) -> bool:
        """Whether a setting means anything to this kind of task."""
        return key in _COMMON | _OF_KIND[self.kind]

    def replace(self, **changes: Any) -> "Task":
        """A copy with other values, checked as they all are."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return checked_task({**given, **changes}, where=f"task {self.name}")


def load_task(text: str) -> Task:
    """The task that a person means.

    Args:
        text: the name of a built-in task (``gsm8k``), of one with data of one's own (``gsm8k:test.jsonl``,
            ``perplexity:book.txt``), or the path of a task file (YAML or JSON).
    Raises:
        ConfigError: there is no such task, it needs data, or its file is wrong.
    """
    name, _, data = text.partition(":")
    if name not in builtin_names():
        if Path(text).suffix in (".yaml", ".yml", ".json"):
            return read_task(Path(text))
        near = difflib.get_close_matches(name, builtin_names(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(builtin_names())}."
        raise ConfigError(f"there is no task {name!r}; {hint} A task of your own is a file: my-task.yaml")
    task = builtin_task(name)
    if data:
        # Configurations and examples belong to the set that is replaced; examples now come from the file itself.
        own = {"configs", "data", "fewshot_data", "name"}
        kept = {key: getattr(task, key) for key in task.model_fields_set - own}
        return checked_task({**kept, "data": data, "name": f"{name}+{_stem(data)}"}, where=text)
    if task.data is None:
        raise ConfigError(f"task {name} needs data: write {name}:FILE, such as {name}:my-data.jsonl")
    return task


def read_task(path: Path) -> Task:
    """Read a task file. Raises ConfigError when it cannot be read or is not one."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the task file {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} is not a task: it must map keys such as name, kind and data to values")
    return checked_task({"name": path.stem, **values}, where=str(path))


@cache
def builtin_names() -> tuple[str, ...]:
    """Names of the tasks that come with Chatwright, sorted."""
    folder = resources.files("chatwright.eval") / "definitions"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def builtin_task(name: str) -> Task:
    """A task that comes with Chatwright, possibly without data."""
    file = resources.files("chatwright.eval") / "definitions" / f"{name}.yaml"
    return checked_task({"name": name, **yaml.safe_load(file.read_text("utf-8"))}, where=f"task {name}")


def checked_task(values: dict[str, Any], *, where: str) -> Task:
    """A task from plain values. Raises ConfigError: what is wrong with the first bad key."""
    try:
        return Task.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, Task.model_fields, n=2) or sorted(Task.model_fields)
            raise ConfigError(f"{where}: unknown key {key}; did you mean {', '.join(near)}?") from None
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key + ': ' if key else ''}{message}") from None


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"extract is not a regular expression: {error}") from None


def _stem(data: str) -> str:
    """A short name for a file or set, of the characters that names may have."""
    last = data.rstrip("/").rpartition("/")[2].partition(".")[0]
    return re.sub(r"[^\w.+-]", "-", last) or "data"
