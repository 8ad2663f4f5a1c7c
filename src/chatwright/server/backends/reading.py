"""From the text that a model writes to what it means: thoughts, the answer, calls of tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from chatwright.server.backends.base import ToolCallPiece
from chatwright.server.backends.call_scanner import CallScanner
from chatwright.server.backends.tool_forms import ToolForm
from chatwright.server.identifiers import new_id

THINK: Final = "<think>"
THINK_END: Final = "</think>"


@dataclass(frozen=True, slots=True)
class Read:
    """What a piece of text turned out to be; false where it is nothing yet."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.tool_calls)

    def __add__(self, other: "Read") -> "Read":
        return Read(self.text + other.text, self.reasoning + other.reasoning, self.tool_calls + other.tool_calls)


class Reader(Protocol):
    """Reads one answer as it comes.

    Attributes:
        in_reasoning: what follows belongs to the model's thoughts.
        has_calls: a tool was called.
    """

    has_calls: bool

    @property
    def in_reasoning(self) -> bool:
        """See above."""
        ...

    def read(self, text: str, token_ids: Sequence[int]) -> Read:
        """What the next text, made by these tokens, turns out to be."""
        ...

    def finish(self) -> Read:
        """What was held back, now that nothing follows."""
        ...


class PlainReader:
    """Text that is nothing but text."""

    in_reasoning = False
    has_calls = False

    def read(self, text: str, token_ids: Sequence[int]) -> Read:
        """See :class:`Reader`."""
        return Read(text)

    def finish(self) -> Read:
        """See :class:`Reader`."""
        return Read()


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may stand in an answer beside text.

    Attributes:
        thinks: the answer may begin with thoughts between ``<think>`` and ``</think>``.
        form: how tools are called; None: they are not.
        names: of the tools.
        parallel: more than one call counts.
        marks: control tokens that mean something here: id to text. The detokenizer leaves them out.
    """

    thinks: bool = False
    form: ToolForm | None = None
    names: frozenset[str] = frozenset()
    parallel: bool = True
    marks: Mapping[int, str] | None = None


class AnswerReader:
    """Tells thoughts, text and calls from each other as the text comes, whatever the pieces it comes in.

    Args:
        grammar: what there may be.
        begins: in what the answer begins; the prompt may have opened thoughts or a call already.
    """

    def __init__(self, grammar: Grammar, begins: Literal["start", "thoughts", "call"] = "start") -> None:
        self.has_calls = False
        self._grammar = grammar
        self._mode: Literal["start", "thoughts", "answer", "text", "call", "between"] = begins
        self._buffer = ""
        self._has_thought = False
        self._scanner: CallScanner | None = None
        self._num_calls = 0
        self._announced = False  # the call that is being read
        self._opened = ""  # the mark before it, should it turn out to be text

    @property
    def in_reasoning(self) -> bool:
        """See :class:`Reader`."""
        return self._mode == "thoughts"

    def read(self, text: str, token_ids: Sequence[int]) -> Read:
        """See :class:`Reader`."""
        marks = self._grammar.marks
        if marks:
            text = "".join(marks.get(token, "") for token in token_ids) + text
        if self._mode == "text" and self._grammar.form is None:
            return Read(text)
        self._buffer += text
        read = Read()
        while (more := self._step()) is not None:
            read += more
        return read

    def finish(self) -> Read:
        """See :class:`Reader`."""
        rest, self._buffer = self._buffer, ""
        if self._mode == "thoughts":
            return Read(reasoning=rest)
        if self._mode == "between":
            return Read(text=rest.strip())
        if self._mode == "call" and self._scanner is not None:
            return Read() if self._announced else Read(text=self._opened + self._scanner.raw + rest)
        if self._mode == "call":
            return Read(text=self._opened + rest)
        return Read(text=rest.rstrip() if self.has_calls else rest)

    def _step(self) -> Read | None:
        """Read as far as the mode goes on; None when more text is needed."""
        match self._mode:
            case "start" | "answer":
                return self._begin()
            case "thoughts":
                return self._think()
            case "text":
                return self._text()
            case "call":
                return self._call()
            case "between":
                return self._between()

    def _begin(self) -> Read | None:
        """Find out what the answer begins with."""
        text, form = self._buffer.lstrip(), self._grammar.form
        opens = [THINK] if self._grammar.thinks and self._mode == "start" else []
        opens += form.ignored if form is not None else ()
        for mark in opens:
            if text.startswith(mark):
                self._buffer = text[len(mark) :]
                self._mode = "thoughts" if mark == THINK else "answer"
                return Read()
        if not text or any(mark.startswith(text) for mark in opens):
            return None
        if self._mode == "answer":  # the empty lines after the thoughts are no part of the answer
            self._buffer = text
        if form is not None and not form.opening and text.startswith("{"):
            self._buffer, self._mode = text, "call"
        else:
            self._mode = "text"
        return Read()

    def _think(self) -> Read | None:
        if not self._has_thought:  # the line after the mark is the template's, not the model's
            self._buffer = self._buffer.lstrip()
            self._has_thought = bool(self._buffer)
        thoughts, mark, rest = self._buffer.partition(THINK_END)
        if mark:
            self._buffer, self._mode = rest, "answer"
            return Read(reasoning=thoughts.rstrip())
        return self._release(THINK_END, "reasoning")

    def _text(self) -> Read | None:
        form = self._grammar.form
        if form is None or not form.opening:
            text, self._buffer = self._buffer, ""
            return Read(text) if text else None
        text, mark, rest = self._buffer.partition(form.opening)
        if mark:
            self._buffer, self._mode, self._opened = rest, "call", mark
            return Read(text.rstrip())
        return self._release(form.opening, "text")

    def _release(self, mark: str, kind: Literal["text", "reasoning"]) -> Read | None:
        """Let go what cannot be the beginning of ``mark``, nor the white space before it."""
        longest = min(len(mark) - 1, len(self._buffer))
        keep = next((n for n in range(longest, 0, -1) if self._buffer.endswith(mark[:n])), 0)
        end = len(self._buffer[: len(self._buffer) - keep].rstrip())
        text, self._buffer = self._buffer[:end], self._buffer[end:]
        if not text:
            return None
        return Read(text=text) if kind == "text" else Read(reasoning=text)

    def _call(self) -> Read | None:
        """Read a call; what turns out to be none is text."""
        if self._scanner is None and not self._start_call():
            return None
        scanner = self._scanner
        assert scanner is not None
        used = 0
        for char in self._buffer:
            used += 1
            scanner.push(char)
            if scanner.complete or scanner.broken:
                break
        self._buffer = self._buffer[used:]
        if scanner.broken or (scanner.name is not None and not self._is_tool(scanner.name)):
            return self._not_a_call(scanner)
        pieces = self._call_pieces(scanner)
        if scanner.complete:
            self._scanner, self._announced, self._mode = None, False, "between"
            return Read(tool_calls=pieces)
        return Read(tool_calls=pieces) if pieces else None

    def _start_call(self) -> bool:
        """Whether it is known how the call is written."""
        text = self._buffer.lstrip()
        if text.startswith("["):  # Mistral's list of calls
            text = text[1:].lstrip()
        if not text:
            return False
        name = None
        if not text.startswith("{") and self._grammar.form is not None and not self._grammar.form.closing:
            name, brace, rest = text.partition("{")  # Mistral's NAME[ARGS]{…}
            if not brace:
                return False
            name, text = name.partition("[")[0].strip(), brace + rest
        self._scanner, self._buffer = CallScanner(name), text
        return True

    def _is_tool(self, name: str) -> bool:
        """A bare JSON object is a call only where it names a tool; behind a mark the model means a call."""
        form = self._grammar.form
        return name in self._grammar.names or (form is not None and bool(form.opening))

    def _not_a_call(self, scanner: CallScanner) -> Read:
        text = self._opened + scanner.raw
        self._scanner, self._mode = None, "text"
        return Read(text=text)

    def _call_pieces(self, scanner: CallScanner) -> tuple[ToolCallPiece, ...]:
        if scanner.name is None or (self._num_calls and not self._grammar.parallel and not self._announced):
            return ()
        arguments = scanner.take()
        if self._announced:
            return (ToolCallPiece(self._num_calls - 1, arguments),) if arguments else ()
        self._announced = self.has_calls = True
        self._num_calls += 1
        return (ToolCallPiece(self._num_calls - 1, arguments, new_id("call_"), scanner.name),)

    def _between(self) -> Read | None:
        """After a call: its end mark, then another call or text."""
        form = self._grammar.form
        assert form is not None
        text = self._buffer.lstrip()
        if form.closing and text.startswith(form.closing):
            self._buffer, self._mode = text[len(form.closing) :].lstrip(), "text"
            return Read()
        if not text or (form.closing and form.closing.startswith(text)):
            return None
        if not form.closing and text[0] in ",;]":
            self._buffer = text[1:]
            return Read()
        is_next = not form.closing and text.startswith("{")
        self._buffer, self._mode = text, "call" if is_next else "text"
        return Read()
