"""A job before training: its files are checked line by line, and the recipe is written. Blocks: for threads."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from chatwright.chat import ChatTemplate
from chatwright.data.encode import DialogueEncoder, PreferenceEncoder, RowEncoder
from chatwright.errors import ChatwrightError, InputError, TemplateError
from chatwright.loaded import load_tokenizer, model_folder
from chatwright.model.families import config_from_hf
from chatwright.model.resolve import resolve_model
from chatwright.server.jobs.folder import JobFolder
from chatwright.server.jobs.recipe import Measured, decided, make_recipe
from chatwright.server.jobs.rows import Method, question, training_rows, written

MIN_EXAMPLES: Final = 10
_MAX_LENGTH: Final = 4096  # longer sequences take memory that small machines do not have
_LOOK_EVERY_ROWS: Final = 64
_QUESTIONS: Final = 3  # asked at each evaluation step: enough to see it learn, few enough to cost next to nothing
_LONGEST_QUESTION: Final = 500  # characters; a whole document is no question


class UnusableFileError(ChatwrightError):
    """A file that cannot be trained on.

    Attributes:
        param: "training_file" or "validation_file".
    """

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Interrupted(ChatwrightError):
    """The server is being stopped."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be prepared.

    Attributes:
        name: of the job.
        base: the model as :func:`chatwright.resolve_model` finds it.
        method, hyperparameters, seed: as the person wants them.
        training, validation: the files.
        device: to train on.
        redact: takes out of a text what may not be trained on.
    """

    name: str
    base: str
    method: Method
    hyperparameters: Mapping[str, Any]
    seed: int
    training: Path
    validation: Path | None
    device: str
    redact: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of it: the hyperparameters in numbers, and a sentence for the person about each of the files."""

    hyperparameters: dict[str, Any]
    notes: tuple[str, ...]


def prepare(folder: JobFolder, order: Order, stopping: threading.Event) -> Prepared:
    """Fill a job's folder.

    Args:
        folder: of the job; what an earlier attempt left is written anew.
        order: what is wanted.
        stopping: set when the work is to be given up.

    Raises:
        UnusableFileError: a line of a file cannot be learned from; the message says which and why.
        ChatwrightError: the model cannot be used.
        OSError: the disk is full.
        Interrupted: ``stopping`` was set.
    """
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    base = resolve_model(order.base)
    config = config_from_hf(json.loads((model_folder(base) / "config.json").read_text("utf-8")))
    context = config.max_position_embeddings
    template = ChatTemplate(load_tokenizer(base))
    checker = _Checker(order, template, min(context, _MAX_LENGTH), stopping)
    data, note = checker.check(order.training, folder.training, "training_file", at_least=MIN_EXAMPLES)
    notes = [note]
    if order.validation is not None:
        held_out, note = checker.check(order.validation, folder.validation, "validation_file", at_least=1)
        # What it has not learned by heart is the better question.
        data = replace(data, longest=max(data.longest, held_out.longest), questions=held_out.questions)
        notes.append(note)
    hyperparameters = decided(order.method, order.hyperparameters, data)
    recipe = make_recipe(
        folder,
        order.method,
        hyperparameters,
        data,
        name=order.name,
        base=str(base.resolve()),
        context_length=context,
        seed=order.seed,
        device=order.device,
    )
    folder.write_recipe(recipe)
    return Prepared(hyperparameters, tuple(notes))


class _Checker:
    def __init__(self, order: Order, template: ChatTemplate, max_length: int, stopping: threading.Event) -> None:
        self._order, self._template, self._max_length, self._stopping = order, template, max_length, stopping

    def check(self, source: Path, target: Path, param: str, *, at_least: int) -> tuple[Measured, str]:
        """Write the rows of ``source`` that can be learned from to ``target``, and measure them."""
        encoder = self._encoder()
        examples = tokens = longest = 0
        questions: list[str] = []
        try:
            with target.open("w", encoding="utf-8") as file:
                for number, row in training_rows(source, self._order.method):
                    if number % _LOOK_EVERY_ROWS == 0 and self._stopping.is_set():
                        raise Interrupted("the server is being stopped")
                    line = written(row, self._order.redact)
                    example = _encoded(encoder, row, number)
                    if example is None:
                        continue
                    file.write(line)
                    examples += 1
                    tokens += sum(map(len, example.documents))
                    longest = max(longest, *map(len, example.documents))
                    if len(questions) < _QUESTIONS:
                        asked = question(row, self._order.redact)
                        if asked is not None and len(asked) <= _LONGEST_QUESTION and asked not in questions:
                            questions.append(asked)
        except (InputError, TemplateError) as error:
            raise UnusableFileError(param, str(error).replace(str(source), "the file")) from error
        if examples < at_least:
            raise UnusableFileError(
                param,
                f"the file has {examples} examples that can be learned from, and at least {at_least} are needed"
                + _tally(encoder),
            )
        note = f"{param}: {examples:,} examples with {tokens:,} tokens{_tally(encoder)}"
        return Measured(examples, tokens, longest, tuple(questions)), note

    def _encoder(self) -> RowEncoder:
        kind = DialogueEncoder if self._order.method == "supervised" else PreferenceEncoder
        return kind(self._template, self._max_length)


def _encoded(encoder: RowEncoder, row: Any, number: int) -> Any:
    try:
        return encoder(row)
    except (InputError, TemplateError) as error:
        raise InputError(f"line {number}: {error}") from error


def _tally(encoder: RowEncoder) -> str:
    told = ", ".join(f"{count:,} {what}" for what, count in encoder.tally.items() if count)
    return f" ({told})" if told else ""
