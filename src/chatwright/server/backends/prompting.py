"""From a chat request to the engine's prompt, and to what the answer may hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from chatwright.chat import Message
from chatwright.engine.params import Constraint
from chatwright.errors import InvalidParameterError, TemplateError
from chatwright.loaded import LoadedModel
from chatwright.server.backends.base import ChatRequest
from chatwright.server.backends.inside import WrittenAnswer
from chatwright.server.backends.reading import THINK, THINK_END, AnswerReader, Grammar, PlainReader, Reader
from chatwright.server.backends.tool_forms import (
    HERMES,
    Tool,
    ToolForm,
    answer_or_call,
    call_constraint,
    chosen,
    form_of,
    mark_id,
    tool_name,
)
from chatwright.server.backends.tool_prompt import in_words

_EXACT_CHARS: Final = 1_000_000  # longer chats are counted by a sample: no model holds them
_SAMPLE_CHARS: Final = 65_536

_TAKEN: Final = {"self", "template", "messages", "tools", "documents", "add_generation_prompt", "continue_final"} | {
    *("mask", "policy", "max_tokens")
}

Begins = Literal["start", "thoughts", "call"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is given, and how its answer is to be read.

    Attributes:
        ids: token ids.
        dropped_turns: turns left out.
        constraint: what the answer must be.
        grammar, begins: for the reader.
    """

    ids: list[int]
    dropped_turns: int
    constraint: Constraint | None
    grammar: Grammar
    begins: Begins

    def reader(self) -> Reader:
        """A reader for one answer."""
        if self.begins == "start" and not self.grammar.thinks and self.grammar.form is None:
            return PlainReader()
        return AnswerReader(self.grammar, self.begins)


class Prompter:
    """Makes prompts for one model. Everything here may take long: call it on a thread.

    Args:
        loaded: the model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        template = loaded.template
        self._loaded = loaded
        self._own_form = form_of(template)
        self._form = self._own_form or HERMES
        self._thinks = THINK_END in template.source
        self._takes_system = self._own_form is not None or _takes_system(loaded)

    def prompt(self, request: ChatRequest, max_tokens: int | None) -> Prompt:
        """The prompt for a request.

        Raises:
            ContextLengthError, InputError, TemplateError: as for :meth:`LoadedModel.fit`.
            InvalidParameterError: the tools, or what is asked of them, do not go together.
        """
        must_call = chosen(request.tools, request.tool_choice)
        tools = () if request.tool_choice == "none" else request.tools
        fitted = self._loaded.fit(
            self._messages(request.messages, tools),
            request.context_policy,
            max_tokens,
            continue_final=request.continue_final,
            tools=(tools or None) if self._own_form is not None else None,
            **_checked_variables(request.template_variables),
        )
        form = self._form if tools else None
        ids, begins = list(fitted.rendered.ids), self._begins(fitted.rendered.text, request.continue_final)
        constraint = request.constraint
        if constraint is not None and tools and not must_call:
            constraint = answer_or_call(constraint, tools, self._form, self._loaded.tokenizer)
        if constraint is not None or must_call:
            if begins == "thoughts":  # what must be JSON from its first character leaves no room for thoughts
                ids += [*self._mark(THINK_END), *self._encode("\n\n")]
            begins = "start"
        if must_call:
            constraint, begins = call_constraint(must_call, self._form), "call"
            ids += [*self._mark(self._form.opening), *self._encode(self._form.gap)]
        grammar = self._grammar(form, tools, request, thinks=constraint is None and not request.continue_final)
        return Prompt(ids, fitted.dropped_turns, constraint, grammar, begins)

    def written(self, prompt: Prompt, answer: WrittenAnswer) -> list[int]:
        """The tokens of an answer as they follow a prompt, thoughts first, the end of the turn last.

        They are cut as the tokenizer cuts a whole text; while writing, the model may have chosen smaller pieces.
        """
        ids: list[int] = []
        text = answer.text
        if self._thinks and (answer.reasoning or prompt.begins == "thoughts"):
            opened = prompt.begins == "thoughts"
            ids += () if opened else self._mark(THINK)
            thoughts = answer.reasoning.strip("\n")
            ids += self._encode(f"{'' if opened else chr(10)}{thoughts}\n" if thoughts else "")
            if text:
                ids += self._mark(THINK_END)
                text = f"\n\n{text}"
        ids += self._encode(text)
        end = self._loaded.template.turn_end_id
        return [*ids, end] if answer.is_ended and end is not None else ids

    def count(self, messages: Sequence[Message], tools: Sequence[Tool]) -> int:
        """Tokens of a chat; of more than a million characters an estimate."""
        chars = sum(len(message.content or "") for message in messages)
        if chars > _EXACT_CHARS:
            text = "".join((message.content or "")[:_SAMPLE_CHARS] for message in messages)[:_SAMPLE_CHARS]
            return self._loaded.tokenizer.count(text) * chars // len(text)
        rendered = self._loaded.template.render(
            self._messages(messages, tools),
            add_generation_prompt=True,
            tools=(tools or None) if self._own_form is not None else None,
        )
        return len(rendered.ids)

    def _messages(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Sequence[Message]:
        if self._own_form is not None:
            return messages
        return in_words(messages, tools, takes_system=self._takes_system)

    def _begins(self, text: str, continue_final: bool) -> Begins:
        """Whether the template has opened the model's thoughts already, as those of reasoning models do."""
        return "thoughts" if self._thinks and not continue_final and text.rstrip().endswith(THINK) else "start"

    def _grammar(self, form: ToolForm | None, tools: Sequence[Tool], request: ChatRequest, *, thinks: bool) -> Grammar:
        marks = [THINK, THINK_END] if self._thinks else []
        marks += form.marks if form is not None else ()
        control = self._loaded.tokenizer.control_tokens
        return Grammar(
            thinks=thinks and self._thinks,
            form=form,
            names=frozenset(tool_name(tool) for tool in tools),
            parallel=request.parallel_tool_calls,
            marks={control[mark]: mark for mark in marks if mark in control},
        )

    def _mark(self, mark: str) -> list[int]:
        if not mark:
            return []
        token = mark_id(self._loaded.tokenizer, mark)
        return self._encode(mark) if token is None else [token]

    def _encode(self, text: str) -> list[int]:
        return self._loaded.template.text_encoder.encode(text, at_start=False) if text else []


def _takes_system(loaded: LoadedModel) -> bool:
    """Whether a template accepts system messages; some raise an exception, some leave them out."""
    chat = (Message("system", "probe of the system"), Message("user", "probe"))
    try:
        return "probe of the system" in loaded.template.render(chat, add_generation_prompt=True).text
    except TemplateError:
        return False


def _checked_variables(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Variables for the template that do not take the place of what it is given anyway."""
    for name in variables:
        if not name.isidentifier() or name in _TAKEN:
            raise InvalidParameterError(
                "chat_template_kwargs", f"chat_template_kwargs has {name!r}, which is not a variable to be set"
            )
    return variables
