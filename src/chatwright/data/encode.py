"""Rows to examples of token ids, with the template that serves the model: what is trained is what will be served.

An encoder is a picklable callable, for rows are encoded in many processes. What the data says never becomes a control
token; only the template's scaffolding and the end of a text do.
"""

import hashlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from chatwright.chat import ChatTemplate, Message, fit_context
from chatwright.data.example import Document, Example
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.errors import ConfigError, ContextLengthError, InputError, TemplateError
from chatwright.tokenizer import Tokenizer

EMPTY = "empty"
CUT = "cut to max_length"
TOO_LONG = "longer than max_length"
NOTHING_LEARNED = "nothing to learn"

_MANY_MESSAGES = 64


class RowEncoder(ABC):
    """Turns rows of one kind into examples.

    Args:
        template: of the model; a tokenizer stands for its own template.

    Attributes:
        rows: the kind of rows that it takes.
        tally: how often each thing happened that a person should hear of: ``longer than max_length``, ``empty`` …
    """

    rows: ClassVar[type]

    def __init__(self, template: ChatTemplate | Tokenizer) -> None:
        self.template = template if isinstance(template, ChatTemplate) else ChatTemplate(template)
        self.tally: Counter[str] = Counter()

    @property
    def tokenizer(self) -> Tokenizer:
        """The template's."""
        return self.template.tokenizer

    @property
    def fingerprint(self) -> str:
        """Equal for encoders that make the same examples of the same rows; a hexadecimal SHA-256."""
        settings = {name: value for name, value in vars(self).items() if name not in ("template", "tally")}
        parts = (type(self).__qualname__, sorted(settings.items()), self.template.source, self.tokenizer.settings)
        text = "\0".join([*map(repr, parts), self.tokenizer.json()])
        return hashlib.sha256(text.encode()).hexdigest()

    @abstractmethod
    def __call__(self, row: Row) -> Example | None:
        """The example; None, and a count in ``tally``, where nothing can be learned from the row.

        Raises:
            InputError, TemplateError: the template refuses the row.
        """

    def encode_many(self, rows: Sequence[Row]) -> list[Example | None]:
        """As calling it on each row in turn; faster where the tokenizer can work on many texts at once."""
        return [self(row) for row in rows]

    def _is(self, row: Row) -> None:
        if not isinstance(row, self.rows):
            raise InputError(f"this stage learns from rows of the kind {self.rows.__name__}, not {type(row).__name__}")


class TextEncoder(RowEncoder):
    """Running text, all of it learned: [bos] text [eos], as far as the tokenizer has the two.

    A text of any length is one document; packing cuts it.
    """

    rows = Text

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        return self.encode_many([row])[0]

    def encode_many(self, rows: Sequence[Row]) -> list[Example | None]:
        """One document each."""
        texts = []
        for row in rows:
            self._is(row)
            assert isinstance(row, Text)
            texts.append(row.text)
        return [self._example(ids) for ids in self.template.text_encoder.encode_batch(texts)]

    def _example(self, ids: list[int]) -> Example | None:
        if not ids:
            self.tally[EMPTY] += 1
            return None
        return Example((Document(_framed(self.tokenizer, ids)),))


class _ChatEncoder(RowEncoder):
    """What encoders of conversations share.

    Args:
        template: of the model.
        max_length: most tokens in a document.
    """

    def __init__(self, template: ChatTemplate | Tokenizer, max_length: int) -> None:
        super().__init__(template)
        self.max_length = max_length

    def _render(
        self,
        messages: Sequence[Message],
        tools: Sequence[object] = (),
        *,
        learned_from: int = 0,
        unlearned: Sequence[int] = (),
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Ids and mask of a chat up to the last learned token.

        Args:
            messages: the last is the assistant's.
            tools: that it may call.
            learned_from: nothing is learned of the messages before this one.
            unlearned: places of further answers that are not learned.
        """
        rendered = self.template.render(messages, tools=list(tools) or None, mask=True)  # type: ignore[arg-type]
        ids = np.array(rendered.ids, dtype=np.int32)
        mask = np.array(rendered.mask, dtype=np.bool_)
        self._learn_turn_ends(ids, mask)
        if learned_from:
            prompt = self.template.render(messages[:learned_from], add_generation_prompt=True).ids
            mask[: _num_equal(ids, np.array(prompt, dtype=np.int32))] = False
        if unlearned:
            _unlearn(mask, [index in unlearned for index, said in enumerate(messages) if said.role == "assistant"])
        learned = np.flatnonzero(mask)
        end = int(learned[-1]) + 1 if len(learned) else 0
        ids, mask = ids[:end], mask[:end]
        if end and self._ends_with_text and (eos := self.tokenizer.eos_id) is not None:
            ids, mask = np.append(ids, np.int32(eos)), np.append(mask, True)
        return ids, mask

    @property
    def _ends_with_text(self) -> bool:
        """Whether the template itself has nothing by which the model can say that it has finished."""
        return self.template.turn_end_id is None and not self.template.stop_texts

    def _learn_turn_ends(self, ids: NDArray[np.int32], mask: NDArray[np.bool_]) -> None:
        """A template's own generation marks may leave out the token that ends the turn: without it no answer ends."""
        if self.template.turn_end_id is not None:
            mask[1:] |= mask[:-1] & (ids[1:] == self.template.turn_end_id)

    def _answer(
        self, prompt: tuple[Message, ...], answers: Sequence[tuple[Message, ...]]
    ) -> tuple[Document, ...] | None:
        """The prompt with each of the answers, the answers learned; without its oldest turns if it is too long."""
        documents = self._answer_all(prompt, answers)
        excess = max(map(len, documents)) - self.max_length
        if excess > 0 and prompt:
            longest = max(len(self.template.render(prompt, add_generation_prompt=True).ids) - excess, 1)
            try:
                shorter = fit_context(self.template, prompt, max_tokens=longest, policy="drop_oldest")
            except ContextLengthError:
                self.tally[TOO_LONG] += 1
                return None
            documents = self._answer_all(_without_turns(prompt, shorter.dropped_turns), answers)
            excess = max(map(len, documents)) - self.max_length
            self.tally[CUT] += excess <= 0
        if excess > 0:
            self.tally[TOO_LONG] += 1
            return None
        if not all(document.mask is not None and document.mask[1:].any() for document in documents):
            self.tally[NOTHING_LEARNED] += 1
            return None
        return documents

    def _answer_all(self, prompt: tuple[Message, ...], answers: Sequence[tuple[Message, ...]]) -> tuple[Document, ...]:
        return tuple(Document(*self._render((*prompt, *answer), learned_from=len(prompt))) for answer in answers)


class DialogueEncoder(_ChatEncoder):
    """A conversation, learned where the assistant speaks and ends its turns.

    One that is too long is cut after the last of the assistant's turns that fits, and dropped where none does.
    """

    rows = Dialogue

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        self._is(row)
        assert isinstance(row, Dialogue)
        ids, mask = self._render(self._beginning(row), row.tools, unlearned=row.unlearned)
        if len(ids) > self.max_length:
            end = _end_of_last_turn(mask, self.max_length)
            if not end:
                self.tally[TOO_LONG] += 1
                return None
            self.tally[CUT] += 1
            ids, mask = ids[:end], mask[:end]
        if not mask[1:].any():
            self.tally[NOTHING_LEARNED] += 1
            return None
        return Example((Document(ids, mask),))

    def _beginning(self, row: Dialogue) -> Sequence[Message]:
        """The messages of a long conversation up to the first that does not fit.

        To find what is learned of a chat takes time with the square of its turns, and somebody's chats of years may be
        one conversation.
        """
        messages = row.messages
        if len(messages) <= _MANY_MESSAGES:
            return messages

        def is_too_long(count: int) -> bool:
            return len(self.template.render(messages[:count], tools=list(row.tools) or None).ids) > self.max_length

        return messages[: 1 + bisect_left(range(1, len(messages) + 1), True, key=is_too_long)]


class PreferenceEncoder(_ChatEncoder):
    """Two documents, chosen and rejected: one prompt, and of each the answer learned. Value: ``margin``, 0 if unknown.

    A prompt that is too long loses its oldest turns, as in serving; a pair that is still too long is dropped.
    """

    rows = Preference

    def __call__(self, row: Row) -> Example | None:
        """Two documents."""
        self._is(row)
        assert isinstance(row, Preference)
        documents = self._answer(row.prompt, (row.chosen, row.rejected))
        return None if documents is None else Example(documents, {"margin": row.margin or 0.0})


class RatedEncoder(_ChatEncoder):
    """One answer with its thumb: value ``label``, 1 is good. Too long: as for :class:`PreferenceEncoder`."""

    rows = Rated

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        self._is(row)
        assert isinstance(row, Rated)
        documents = self._answer(row.prompt, (row.completion,))
        return None if documents is None else Example(documents, {"label": float(row.label)})


class LabelledEncoder(RowEncoder):
    """A text and its class: value ``label``, the index in ``classes``. No token is learned.

    Args:
        template: of the model.
        classes: their names, in the order of the classifier's outputs.
        max_length: most tokens; a longer text is cut, and still ends with eos.
    """

    rows = Labelled

    def __init__(self, template: ChatTemplate | Tokenizer, classes: Sequence[str], max_length: int) -> None:
        super().__init__(template)
        self.classes = tuple(classes)
        self.max_length = max_length

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        self._is(row)
        assert isinstance(row, Labelled)
        if row.label not in self.classes:
            raise InputError(f"the class {row.label!r} is none of {', '.join(self.classes)}")
        ids = self.template.text_encoder.encode(row.text)
        if not ids:
            self.tally[EMPTY] += 1
            return None
        framed = _framed(self.tokenizer, ids)
        if (excess := len(framed) - self.max_length) > 0:
            self.tally[CUT] += 1
            framed = _framed(self.tokenizer, ids[: len(ids) - excess])
        document = Document(framed, np.zeros(len(framed), dtype=np.bool_))
        return Example((document,), {"label": float(self.classes.index(row.label))})


class PromptEncoder(_ChatEncoder):
    """A conversation up to where the assistant answers; no token is learned. One that is too long is dropped."""

    rows = Prompt

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        self._is(row)
        assert isinstance(row, Prompt)
        ids = np.array(self.template.render(row.messages, add_generation_prompt=True).ids, dtype=np.int32)
        if len(ids) > self.max_length:
            self.tally[TOO_LONG] += 1
            return None
        return Example((Document(ids, np.zeros(len(ids), dtype=np.bool_)),))


def _unlearn(mask: NDArray[np.bool_], answers: Sequence[bool]) -> None:
    """Learn nothing of the answers that are marked, one of which each stretch of learned tokens is."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    if len(edges) != 2 * len(answers):
        raise TemplateError(
            f"answers are marked as not to be learned, but of {len(answers)} answers the chat template renders "
            f"{len(edges) // 2} apart; leave the marks out"
        )
    for is_marked, start, end in zip(answers, edges[::2], edges[1::2], strict=True):
        if is_marked:
            mask[start:end] = False


def check_length(max_length: int, template: ChatTemplate) -> None:
    """Raises ConfigError where the template's scaffolding alone fills ``max_length``."""
    bare = len(template.render([Message("user", "?")], add_generation_prompt=True).ids)
    if bare >= max_length:
        raise ConfigError(f"max_length is {max_length}, but the chat template alone takes {bare} tokens; raise it")


def _framed(tokenizer: Tokenizer, ids: list[int]) -> NDArray[np.int32]:
    start = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []
    end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
    return np.array([*start, *ids, *end], dtype=np.int32)


def _num_equal(left: NDArray[np.int32], right: NDArray[np.int32]) -> int:
    """How many ids two sequences have in common at their start."""
    shared = min(len(left), len(right))
    differ = np.flatnonzero(left[:shared] != right[:shared])
    return int(differ[0]) if len(differ) else shared


def _end_of_last_turn(mask: NDArray[np.bool_], limit: int) -> int:
    """Where the last run of learned tokens that ends within ``limit`` ends; 0 if there is none."""
    ends = np.flatnonzero(mask & ~np.append(mask[1:], False)) + 1
    fitting = ends[ends <= limit]
    return int(fitting[-1]) if len(fitting) else 0


def _without_turns(messages: tuple[Message, ...], dropped: int) -> tuple[Message, ...]:
    """The messages without the oldest turns, system messages at the start kept; see :func:`fit_context`."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    starts = [index for index in range(first, len(messages)) if index == first or messages[index].role == "user"]
    return messages[:first] + messages[starts[dropped] :]
