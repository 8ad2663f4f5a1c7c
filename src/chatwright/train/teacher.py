"""A teacher's answers as training data: written once by the engine that serves models, and kept.

Beside a file of conversations, which any stage can learn from (``{"messages": […]}`` a line), lies a record of how far
it has come. Both grow by whole batches, so that what is killed goes on where it was, with the very same answers.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path

from chatwright.chat import Message
from chatwright.data.rows import Dialogue, Prompt, Row
from chatwright.engine.generation import Completion, Generation
from chatwright.errors import ContextLengthError, StorageError
from chatwright.loaded import LoadedModel
from chatwright.train.rollout import seed_of
from chatwright.train.run_folder import write_text

_TOGETHER = 64  # conversations that are written at once, and lost at most when the process is killed

CUT = "answers cut for their length"
TOO_LONG = "prompts too long for the teacher"
TOOLS = "conversations with tools"
EMPTY = "empty answers"


@dataclass(frozen=True, slots=True)
class TeacherSettings:
    """How a teacher answers.

    Attributes:
        max_tokens: of an answer.
        temperature: None takes what the teacher's makers advise.
        keep_cut: keep answers that reached ``max_tokens``, which end in mid-sentence.
        seed: of the sampling.
    """

    max_tokens: int
    temperature: float | None
    keep_cut: bool
    seed: int


class Teacher:
    """Writes the assistant's part of conversations anew.

    Args:
        loaded: the model that teaches.
        settings: how it answers.
    """

    def __init__(self, loaded: LoadedModel, settings: TeacherSettings) -> None:
        self._loaded, self._settings = loaded, settings
        self._params = loaded.sampling.replace(max_tokens=settings.max_tokens)
        if settings.temperature is not None:
            self._params = self._params.replace(temperature=settings.temperature)

    def converse(self, rows: Sequence[Dialogue | Prompt], first: int) -> "Lesson":
        """Conversations in which the person says what a row's person says, and the teacher answers each time.

        Args:
            rows: answered together.
            first: number of the first of them among all rows; decides the seeds, with the settings' own.
        """
        lesson = Lesson()
        talks = [_Talk(row, number) for number, row in enumerate(rows, first)]
        for talk in talks:
            if talk.has_tools:
                talk.end(TOOLS)
        turn = 0
        while speaking := [talk for talk in talks if talk.ask()]:
            for talk, completion in zip(speaking, self._answers(speaking, turn), strict=True):
                self._take(talk, completion)
                lesson.tokens += 0 if completion is None else len(completion.token_ids)
            turn += 1
        for talk in talks:
            if talk.fault is not None:
                lesson.dropped[talk.fault] += 1
            if talk.said:
                lesson.conversations.append(talk.said)
        return lesson

    def _answers(self, talks: "Sequence[_Talk]", turn: int) -> list[Completion | None]:
        """One answer to each; None where the conversation has become too long."""
        engine = self._loaded.engine
        generations: list[Generation | None] = []
        with engine.together():  # another division into batches could round, and so answer, differently
            for talk in talks:
                params = self._params.replace(seed=seed_of(self._settings.seed, talk.number, turn))
                try:
                    ids = self._loaded.fit(talk.messages, "error", self._settings.max_tokens).rendered.ids
                except ContextLengthError:
                    generations.append(None)
                else:
                    generations.append(engine.submit(ids, params))
        return [None if generation is None else generation.result()[0] for generation in generations]

    def _take(self, talk: "_Talk", completion: Completion | None) -> None:
        if completion is None:
            talk.end(TOO_LONG)
        elif not completion.text.strip():
            talk.end(EMPTY)
        elif completion.finish_reason == "stop":
            talk.hear(completion.text)
        else:
            if self._settings.keep_cut:
                talk.hear(completion.text)
            talk.end(CUT)


@dataclass(slots=True)
class Lesson:
    """What the teacher wrote.

    Attributes:
        conversations: each ends with an answer.
        tokens: of the answers.
        dropped: reason → how many conversations end early, or do not begin, for it.
    """

    conversations: list[tuple[Message, ...]] = field(default_factory=list)
    tokens: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class _Talk:
    """One conversation as it grows."""

    def __init__(self, row: Dialogue | Prompt, number: int) -> None:
        self.number = number
        self.has_tools = any(message.role == "tool" or message.tool_calls for message in row.messages) or (
            isinstance(row, Dialogue) and bool(row.tools)
        )
        self.messages: list[Message] = []
        self.said: tuple[Message, ...] = ()  # up to the last answer
        self.fault: str | None = None
        self._left = list(row.messages)

    def ask(self) -> bool:
        """Say what comes before the next answer; False where there is nothing more to say."""
        while self._left:
            message = self._left.pop(0)
            if message.role != "assistant":
                self.messages.append(message)
            elif self._is_asked:
                return True
        return self.fault is None and self._is_asked

    @property
    def _is_asked(self) -> bool:
        return bool(self.messages) and self.messages[-1].role == "user"

    def hear(self, answer: str) -> None:
        """The teacher's answer."""
        self.messages.append(Message("assistant", answer))
        self.said = tuple(self.messages)

    def end(self, fault: str) -> None:
        """Break off."""
        self.fault = fault
        self._left.clear()


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a file of answers has come: ``rows`` were read, ``size`` bytes are whole."""

    made_from: str
    rows: int = 0
    size: int = 0
    tokens: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    complete: bool = False


class AnswerFile:
    """The conversations that a teacher made of rows, on disk; iterable as :class:`Dialogue` once they are written.

    Args:
        path: ends with ``.jsonl``; the record of its progress lies beside it.
        made_from: equal where the rows and the teacher are; another one begins anew.
    """

    def __init__(self, path: Path, made_from: str) -> None:
        self.path = path
        self._record = path.with_suffix(".json")
        self._made_from = hashlib.sha256(made_from.encode()).hexdigest()

    def __iter__(self) -> Iterator[Row]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield Dialogue(tuple(Message.parse(message) for message in json.loads(line)["messages"]))

    @property
    def dropped(self) -> dict[str, int]:
        """Reason → how many conversations end early, or do not begin, for it."""
        return self._progress().dropped

    @property
    def complete(self) -> bool:
        """Whether every row is answered."""
        return self._progress().complete

    @property
    def identity(self) -> str:
        """Equal where the conversations are."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def write(self, rows: Iterable[Row], teacher: Teacher, progress: Callable[[int, int], None]) -> None:
        """Let the teacher answer what is not answered yet.

        Args:
            rows: dialogues and prompts, always the same ones in the same order.
            teacher: answers.
            progress: told how many rows were read, and tokens written.

        Raises:
            StorageError: the disk is full.
        """
        done = self._progress()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.truncate(done.size)  # of a killed process' last batch, a part may be there
                file.seek(done.size)
                unanswered = islice(rows, done.rows, None)
                while batch := list(islice(unanswered, _TOGETHER)):
                    lesson = teacher.converse([row for row in batch if isinstance(row, Dialogue | Prompt)], done.rows)
                    file.write(b"".join(map(_line, lesson.conversations)))
                    file.flush()
                    os.fsync(file.fileno())
                    done = replace(
                        done,
                        rows=done.rows + len(batch),
                        size=file.tell(),
                        tokens=done.tokens + lesson.tokens,
                        dropped=dict(Counter(done.dropped) + lesson.dropped),
                    )
                    self._keep(done)
                    progress(done.rows, done.tokens)
        except OSError as error:
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}; free some space") from None
        self._keep(replace(done, complete=True))

    def _progress(self) -> _Progress:
        fresh = _Progress(self._made_from)
        if not self._record.is_file():
            return fresh
        kept = _Progress(**json.loads(self._record.read_text("utf-8")))
        is_whole = self.path.is_file() and self.path.stat().st_size >= kept.size
        return kept if kept.made_from == self._made_from and is_whole else fresh

    def _keep(self, progress: _Progress) -> None:
        write_text(self._record, json.dumps(asdict(progress)) + "\n")


def _line(messages: tuple[Message, ...]) -> bytes:
    return (json.dumps({"messages": [message.to_dict() for message in messages]}, ensure_ascii=False) + "\n").encode()
