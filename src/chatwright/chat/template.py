"""The one place where a chat becomes token ids, for serving and for training alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from chatwright.chat.assembly import assemble
from chatwright.chat.compile import Program, compile_template, explained
from chatwright.chat.default import CHATML, CHATML_TURN_END
from chatwright.chat.marks import Place, mark_of, plain
from chatwright.chat.messages import Message, parse_messages
from chatwright.chat.sandbox import Budget, spending
from chatwright.errors import InputError, TemplateError
from chatwright.tokenizer import TextEncoder, Tokenizer

Messages = Sequence[Message | Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]

_PROBE = "probe"
_RENDER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A chat as the model sees it.

    Attributes:
        ids: token ids.
        mask: for each id whether the assistant wrote it (and a loss is taken on it); None unless asked for.
        text: the same as text, control tokens spelt out; for people to read, not to be encoded again.
    """

    ids: list[int]
    mask: list[bool] | None
    text: str


class ChatTemplate:
    """Turns messages into token ids with a model's own Jinja template.

    Text can never become a control token: only the template's own literals do (docs/decisions/0001-control-tokens.md).

    Args:
        tokenizer: of the model.
        source: Jinja text; None takes the tokenizer's own, and ChatML where it has none.

    Attributes:
        is_default: ChatML stands in for a template that the model does not have; it may well be a base model, which
            was never taught to answer. Tell the person.

    Raises:
        TemplateError: the template is broken or too long, or builds control tokens from pieces.
    """

    def __init__(self, tokenizer: Tokenizer, source: str | None = None) -> None:
        own = {"default": source} if source is not None else dict(tokenizer.settings.chat_templates)
        self.tokenizer = tokenizer
        self._given_source = source
        self.is_default = not own
        self._sources = own or {"default": CHATML}
        if "default" not in self._sources:
            raise TemplateError(f"the model has chat templates named {', '.join(sorted(own))}, but no default one")
        self._program = self._compile(self._sources["default"])
        tool_source = self._sources.get("tool_use")
        self._tool_program = self._program if tool_source is None else self._compile(tool_source)
        structural = {*self._program.marks.structural, *self._tool_program.marks.structural}
        self._encoder = tokenizer.text_encoder(structural)
        self._refuse_built_tokens()

    def __reduce__(self) -> tuple[type["ChatTemplate"], tuple[Tokenizer, str | None]]:
        """A compiled template cannot travel to another process; what it is compiled from can."""
        return ChatTemplate, (self.tokenizer, self._given_source)

    @property
    def source(self) -> str:
        """The Jinja text of the default template."""
        return self._sources["default"]

    @property
    def tool_source(self) -> str:
        """The Jinja text that renders chats with tools; the default template where there is no other."""
        return self._sources.get("tool_use", self.source)

    @property
    def text_encoder(self) -> TextEncoder:
        """What encodes the words of people: control tokens, and the tokens that this template writes, are spelt out."""
        return self._encoder

    @cached_property
    def turn_end_id(self) -> int | None:
        """The id of the control token that ends the assistant's turn; None where the template ends it with text."""
        chat = (Message("user", _PROBE), Message("assistant", _PROBE))
        try:
            marked = self._run(self._program, chat, tools=None, add_generation_prompt=False)
        except TemplateError:
            return None
        after = marked.rpartition(_PROBE)[2]
        first = next((part for part in self._program.marks.parts(after) if not isinstance(part, Place)), None)
        return first if isinstance(first, int) else None

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """What ends a turn as *text*: ChatML's marker, for a vocabulary that has no such token."""
        return (CHATML_TURN_END,) if self.is_default and self.turn_end_id is None else ()

    def render(
        self,
        messages: Messages,
        *,
        add_generation_prompt: bool = False,
        continue_final: bool = False,
        tools: Tools | None = None,
        mask: bool = False,
        **variables: Any,
    ) -> Rendered:
        """Render a chat.

        Args:
            messages: at least one.
            add_generation_prompt: end with the header after which the assistant answers.
            continue_final: the last message is the beginning of an answer; leave its turn open, so that the model
                continues the text. When the ids of that beginning are known, :meth:`render_continuation` is exact.
            tools: JSON schemas of functions that the model may call.
            mask: also say which tokens the assistant wrote.
            variables: further variables of the template, such as ``enable_thinking=False``.

        Raises:
            InputError: the messages are not a chat, or the options contradict each other.
            TemplateError: the template refuses them, fails, or is stopped.
        """
        chat = parse_messages(messages)
        if tools is not None and not (isinstance(tools, list | tuple) and all(isinstance(t, Mapping) for t in tools)):
            raise InputError("tools must be a list of JSON schemas of functions, each an object")
        program = self._program if not tools else self._tool_program
        if continue_final:
            if add_generation_prompt or mask:
                raise InputError("continue_final leaves a turn open; add_generation_prompt and mask do not go with it")
            if chat[-1].role != "assistant" or chat[-1].content is None:
                raise InputError("continue_final needs the beginning of an answer: a last message by the assistant")
        marked = self._run(program, chat, tools, add_generation_prompt, cut=continue_final, **variables)
        if continue_final:
            marked, found, _ = marked.partition(mark_of(Place.CUT))
            if not found:
                raise TemplateError("the chat template leaves out the answer that is to be continued")
        elif mask and not program.has_generation_tag:
            marked = self._mark_turns(program, chat, marked, tools, **variables)
        ids, mask_ = assemble(program.marks.parts(marked), self.tokenizer, self._encoder, with_mask=mask)
        return Rendered(ids, mask_, program.marks.spell(marked))

    def render_continuation(
        self, messages: Messages, answer_ids: Sequence[int], *, tools: Tools | None = None, **variables: Any
    ) -> Rendered:
        """Render a chat whose next answer has begun with exactly ``answer_ids``.

        This is what the engine saw when the answer was cut, so it goes on with no seam; encoding the cut text again
        may split its last word differently.

        Args:
            messages: the chat *before* that answer.
            answer_ids: what the model has answered so far, without an end of turn.
            tools, variables: as for :meth:`render`.
        """
        prompt = self.render(messages, add_generation_prompt=True, tools=tools, **variables)
        answer = self.tokenizer.decode(answer_ids, skip_special=False)
        return Rendered([*prompt.ids, *answer_ids], None, prompt.text + answer)

    def _compile(self, source: str) -> Program:
        tokenizer = self.tokenizer
        always = tokenizer.settings.special_tokens.values()
        return compile_template(
            source, special=tokenizer.control_tokens, added=tokenizer.added_tokens, always=frozenset(always)
        )

    def _refuse_built_tokens(self) -> None:
        """A control token that the template puts together at run time would reach the model as mere text: say so."""
        try:
            chat = (Message("user", _PROBE),)
            marked = self._run(self._program, chat, tools=None, add_generation_prompt=True)
        except TemplateError:
            return  # it refuses this little chat; whether it takes others shows later
        texts = [part for part in self._program.marks.parts(marked) if isinstance(part, str)]
        built = [token for token in self.tokenizer.control_tokens if any(token in text for text in texts)]
        if built:
            raise TemplateError(
                f"the chat template puts the control token {built[0]!r} together from pieces, so it cannot be told "
                "from text; write the token out in one piece in chat_template.jinja"
            )

    def _run(
        self,
        program: Program,
        chat: Sequence[Message],
        tools: Tools | None,
        add_generation_prompt: bool,
        *,
        cut: bool = False,
        **variables: Any,
    ) -> str:
        """The template's output, control tokens as marks."""
        messages = [_for_template(program, message) for message in chat]
        if cut:
            messages[-1]["content"] += mark_of(Place.CUT)
        tokens = self.tokenizer.settings.special_tokens
        given: dict[str, Any] = {name: program.marks.literal(text) for name, text in tokens.items()}
        given |= {"messages": messages, "tools": plain(tools), "documents": None}
        given |= {"add_generation_prompt": add_generation_prompt} | plain(variables)
        leaves, chars = _weigh(given)
        budget = Budget(200_000 + 1_000 * leaves, 8_000_000 + 64 * chars, _RENDER_SECONDS)
        with explained(), spending(budget):
            pieces = []
            for piece in program.template.generate(given):
                budget.make(len(piece))
                pieces.append(piece)
        return program.marks.join_roles("".join(pieces))

    def _mark_turns(
        self, program: Program, chat: Sequence[Message], full: str, tools: Tools | None, **variables: Any
    ) -> str:
        """Put generation marks around the assistant's turns of a template that has none of its own.

        A turn starts where the prompt for it ends, which must be how the whole chat begins (the template is
        *prefix-stable*), and ends with the turn-end token.
        """
        start_mark, end_mark = mark_of(Place.GENERATION_START), mark_of(Place.GENERATION_END)
        pieces: list[str] = []
        position = 0
        for index, message in enumerate(chat):
            if message.role != "assistant":
                continue
            prompt = self._run(program, chat[:index], tools, True, **variables)
            if not full.startswith(prompt) or len(prompt) < position:
                raise TemplateError(
                    f"the loss mask of message {index} cannot be found: the chat template renders what precedes it "
                    "differently once the answer follows; use a template with {% generation %} marks"
                )
            end = self._turn_end(program, full, len(prompt), chat[: index + 1], tools, **variables)
            pieces += [full[position : len(prompt)], start_mark, full[len(prompt) : end], end_mark]
            position = end
        return "".join([*pieces, full[position:]])

    def _turn_end(
        self, program: Program, full: str, start: int, chat: Sequence[Message], tools: Tools | None, **variables: Any
    ) -> int:
        """Where in ``full`` the turn that begins at ``start``, the last of ``chat``, ends."""
        through = self._run(program, chat, tools, False, **variables)
        limit = len(through.rstrip()) if full.startswith(through) else len(full)
        token = None if self.turn_end_id is None else program.marks.mark_of_id(self.turn_end_id)
        found = -1 if token is None else full.find(token, start, limit)
        if found >= 0 and token is not None:
            return found + len(token)
        if limit == len(full) and not full.startswith(through):
            raise TemplateError(
                "the loss mask cannot be found: the chat template renders an answer differently once more messages "
                "follow, and ends it with no token of its own; use a template with {% generation %} marks"
            )
        return limit


def _for_template(program: Program, message: Message) -> dict[str, Any]:
    """The message as the template sees it: strings that cannot be marks, except what the assistant may write."""
    fields: dict[str, Any] = plain(message.to_dict())
    if message.role == "assistant":
        for key in ("content", "reasoning_content"):
            if (text := getattr(message, key)) is not None:
                fields[key] = program.marks.assistant(text)
        if message.reasoning_content is not None:
            fields["thinking"] = fields["reasoning_content"]  # the name that gpt-oss's template reads
    return fields


def _weigh(value: Any) -> tuple[int, int]:
    """How many values and how many characters a nested value holds: the template's budget grows with them."""
    leaves, chars = 0, 0
    stack = [value]
    while stack:
        item = stack.pop()
        leaves += 1
        if isinstance(item, str):
            chars += len(item)
        elif isinstance(item, Mapping):
            stack += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            stack += item
    return leaves, chars
