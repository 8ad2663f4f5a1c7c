"""From a task and its data to questions: what is asked, what may be answered, what is right."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from chatwright.chat import Message
from chatwright.data.rows import Labelled, Preference, Prompt, Row, Text
from chatwright.data.settings import DataSettings
from chatwright.data.sources import read_rows, source_records
from chatwright.errors import ConfigError, DownloadError, InputError
from chatwright.eval.tasks import Task
from chatwright.eval.templates import expression, text_template

Shot = tuple[tuple[Message, ...], str]
"""A solved example: its messages and its answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that a model is asked.

    Attributes:
        messages: the conversation up to the answer; empty where a whole text is judged.
        answers: right answers; the two of a preference, the preferred one first; the text of a perplexity task; the
            class that a classifier is to find.
        choices: what may be chosen, of a choice or classification.
        correct: index of the right choice.
        shots: solved examples that precede it.
        group: which part of the task it belongs to.
    """

    messages: tuple[Message, ...]
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    correct: int = -1
    shots: tuple[Shot, ...] = field(default=(), repr=False)
    group: str | None = None


def questions(task: Task, *, limit: int | None) -> list[Question]:
    """All questions of a task, in the order of the data.

    Args:
        task: what is asked.
        limit: so many from the start, of each configuration.
    Raises:
        ConfigError: the task has no data, or the data no rows.
        InputError: the data cannot be read, or does not fit the task's templates.
        DownloadError: it is on a hub that cannot be reached.
    """
    if task.data is None:
        raise ConfigError(f"task {task.name} has no data; add `data: FILE` to the task, or a hub's name")
    found: list[Question] = []
    try:
        for config in task.configs or (None,):
            found.extend(_of_config(task, config, limit))
    except DownloadError as error:
        raise DownloadError(f"{error}; task {task.name} also takes a local copy: {task.name}:FILE") from error
    if not found:
        raise ConfigError(f"task {task.name}: {task.data.label} has no rows to ask; check path and split")
    return found


def _of_config(task: Task, config: str | None, limit: int | None) -> Iterator[Question]:
    assert task.data is not None
    maker = _Maker(task)
    rows = maker.rows(_configured(task.data, config))
    if task.fewshot_data is not None:
        solved = list(islice(maker.rows(_configured(task.fewshot_data, config)), task.fewshot))
    else:
        solved = list(islice(rows, task.fewshot))  # what serves as an example is not asked
    if len(solved) < task.fewshot:
        raise ConfigError(f"task {task.name} wants {task.fewshot} examples, but there are {len(solved)}; lower fewshot")
    shots = tuple(maker.shot(row) for row in solved)
    for row in islice(rows, limit):
        yield maker.question(row, shots, config)


def _configured(data: DataSettings, config: str | None) -> DataSettings:
    return data if config is None else data.model_copy(update={"name": config})


class _Maker:
    """Makes questions from rows that have a format of their own, or from any record through the task's templates."""

    def __init__(self, task: Task) -> None:
        self._task = task
        where = f"task {task.name}"
        turns = () if task.prompt is None else task.prompt
        parts = [("user", turns)] if isinstance(turns, str) else [(turn.role, turn.content) for turn in turns]
        self._turns: list[tuple[Any, Template]] = [
            (role, text_template(text, where=f"{where}, prompt")) for role, text in parts
        ]
        self._answer = _optional(task.answer, f"{where}, answer")
        self._shot_answer = _optional(task.fewshot_answer, f"{where}, fewshot_answer")
        self._group = _optional(task.group, f"{where}, group")
        self._choices: Expression | None = None
        if isinstance(task.choices, str):
            self._choices = expression(task.choices, where=f"{where}, choices")

    def rows(self, data: DataSettings) -> Iterator[Any]:
        """The rows of a data set: records where the task has a prompt, else rows of a known format."""
        if self._task.prompt is None:
            yield from read_rows(data, kinds=_ROWS[self._task.kind])
        else:
            for record in source_records(data):
                yield _fields(record)

    def question(self, row: Any, shots: tuple[Shot, ...], config: str | None) -> Question:
        """The question that a row asks."""
        made = self._from_row(row) if self._task.prompt is None else self._from_record(row)
        fields = _fields(row) if self._group is not None else {}
        group = config if self._group is None else str(self._group(fields))
        return Question(made.messages, made.answers, made.choices, made.correct, shots, group)

    def shot(self, row: Any) -> Shot:
        """A row as a solved example."""
        made = self._from_row(row) if self._task.prompt is None else self._from_record(row)
        if self._shot_answer is not None:
            return made.messages, str(self._shot_answer(row))
        return made.messages, made.choices[made.correct] if made.choices else made.answers[0]

    def _from_row(self, row: Row) -> Question:
        match row:
            case Prompt(messages, str(answer)):
                return Question(messages, (answer,))
            case Prompt():
                raise InputError(f"task {self._task.name}: a row has no answer, so nothing can be right; add an answer")
            case Preference(prompt, chosen, rejected):
                return Question(prompt, (_joined(chosen), _joined(rejected)))
            case Text(text):
                return Question((), (text,))
            case Labelled(text, label):
                return Question((Message("user", text),), (label,))
        raise AssertionError(row)

    def _from_record(self, record: Mapping[str, Any]) -> Question:
        messages = tuple(Message(role, template(record)) for role, template in self._turns)
        assert self._answer is not None
        answer = self._answer(record)
        if self._task.kind == "generate":
            right = answer if isinstance(answer, Sequence) and not isinstance(answer, str) else [answer]
            if not right:
                raise InputError(f"task {self._task.name}: a record has no answer, so nothing can be right")
            return Question(messages, tuple(str(text) for text in right))
        choices = self._task.choices if self._choices is None else self._choices(record)
        texts = tuple(str(choice) for choice in choices or ())
        return Question(messages, choices=texts, correct=self._index(answer, texts))

    def _index(self, answer: Any, choices: tuple[str, ...]) -> int:
        """Which choice an answer names: by its text, or by its index from 0."""
        if isinstance(answer, str) and answer in choices:
            return choices.index(answer)
        if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
            return answer
        raise InputError(
            f"task {self._task.name}: the answer {answer!r} is neither one of the choices {list(choices)} nor the "
            "index of one"
        )


Template = Callable[[Mapping[str, Any]], str]
Expression = Callable[[Mapping[str, Any]], Any]

_ROWS: dict[str, tuple[type, ...]] = {
    "generate": (Prompt,),  # which also turns a chat's last answer into the right one
    "preference": (Preference,),
    "classify": (Labelled,),
    "perplexity": (Text,),
}


def _optional(source: str | None, where: str) -> Expression | None:
    return None if source is None else expression(source, where=where)


def _joined(messages: tuple[Message, ...]) -> str:
    return "\n".join(message.content or "" for message in messages)


def _fields(row: Any) -> Mapping[str, Any]:
    """What templates and expressions see of a row."""
    match row:
        case Prompt(messages, answer, extra):
            return {**extra, "messages": [message.to_dict() for message in messages], "answer": answer}
        case Labelled(text, label):
            return {"text": text, "label": label}
        case Text(text):
            return {"text": text}
        case Mapping():
            return row
    return {}
