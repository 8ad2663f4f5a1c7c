"""A chat that is longer than the model's context: an error, or without its oldest turns. Never cut silently."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from chatwright.chat.messages import Message, parse_messages
from chatwright.chat.template import ChatTemplate, Messages, Rendered, Tools
from chatwright.errors import ContextLengthError, InvalidParameterError

Policy = Literal["error", "drop_oldest"]

_EXACT_CHARS = 1_000_000  # longer chats that do not fit are measured by a sample
_SAMPLE_CHARS = 65_536


class Fitted(NamedTuple):
    """A chat that fits.

    Attributes:
        rendered: as the model sees it.
        dropped_turns: how many of the oldest turns are left out; tell the person when it is not 0.
    """

    rendered: Rendered
    dropped_turns: int


def fit_context(
    template: ChatTemplate,
    messages: Messages,
    *,
    max_tokens: int,
    policy: Policy = "error",
    tools: Tools | None = None,
    add_generation_prompt: bool = True,
    continue_final: bool = False,
    **variables: Any,
) -> Fitted:
    """Render a chat in at most ``max_tokens`` tokens.

    A turn is a user's message with everything up to the next one. System messages at the start and the last turn are
    always kept. Finding out that a history is too long costs time in proportion to ``max_tokens``, not to its length.

    Args:
        template: of the model.
        messages: the whole chat.
        max_tokens: room for the prompt: the model's context less what the answer may take.
        policy: ``error``, or ``drop_oldest`` turns, as few as possible.
        tools, add_generation_prompt, continue_final, variables: as for :meth:`ChatTemplate.render`; a chat that is
            continued has no generation prompt.

    Raises:
        ContextLengthError: the chat, or its system message and last turn, do not fit.
        InputError, TemplateError: as for :meth:`ChatTemplate.render`.
    """
    if policy not in get_args(Policy):
        raise InvalidParameterError("policy", f"policy is {policy!r}; allowed are {', '.join(get_args(Policy))}")
    system, turns = _split(parse_messages(messages))

    def render(dropped: int) -> Rendered:
        kept = [*system, *(message for turn in turns[dropped:] for message in turn)]
        prompt = add_generation_prompt and not continue_final
        return template.render(
            kept, add_generation_prompt=prompt, continue_final=continue_final, tools=tools, **variables
        )

    def fits(dropped: int) -> Rendered | None:
        rendered = render(dropped)
        return rendered if len(rendered.ids) <= max_tokens else None

    fewest = _fewest_dropped(template, system, turns, max_tokens)
    if fewest == 0 and (whole := fits(0)):
        return Fitted(whole, 0)
    if policy == "error":
        raise _too_long(template, parse_messages(messages), render, 0, max_tokens)
    best: Fitted | None = None
    low, high = max(fewest, 1), len(turns) - 1
    while low <= high:
        middle = (low + high) // 2
        if rendered := fits(middle):
            best, high = Fitted(rendered, middle), middle - 1
        else:
            low = middle + 1
    if best is None:
        raise _too_long(template, [*system, *turns[-1]], render, len(turns) - 1, max_tokens)
    return best


def _split(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """The system messages at the start, and the turns. What precedes the first user's message is a turn, too."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), len(messages))
    turns: list[list[Message]] = []
    for message in messages[first:]:
        if message.role == "user" or not turns:
            turns.append([])
        turns[-1].append(message)
    return list(messages[:first]), turns or [[]]


def _fewest_dropped(
    template: ChatTemplate, system: Sequence[Message], turns: Sequence[Sequence[Message]], max_tokens: int
) -> int:
    """How many of the oldest turns must go in any case; ``len(turns)`` when not even the last one fits.

    Counts the messages' own texts from the newest backwards and stops when they are too many, so an enormous history
    costs no more than a long one. Templates add tokens to that, and hardly ever take any away.
    """
    used = _count(template, system, max_tokens)
    for index in range(len(turns) - 1, -1, -1):
        used += _count(template, turns[index], max_tokens)
        if used > max_tokens:
            return index + 1
    return 0


def _count(template: ChatTemplate, messages: Sequence[Message], stop_after: int) -> int:
    """A little less than the tokens that ``messages`` take."""
    total = 0
    for message in messages:
        text = (message.content or "").rpartition("</think>")[2].strip()  # templates drop old thoughts and outer space
        # Cut texts and joined texts may differ by a token here and there: leave 2 % and a few tokens for that.
        total += max(int(template.tokenizer.count(text, stop_after=2 * stop_after) * 0.98) - 4, 0)
        if total > stop_after:
            break
    return total


def _too_long(
    template: ChatTemplate,
    messages: Sequence[Message],
    render: Callable[[int], Rendered],
    dropped: int,
    max_tokens: int,
) -> ContextLengthError:
    chars = sum(len(message.content or "") for message in messages)
    if chars <= _EXACT_CHARS:
        about, tokens = "", len(render(dropped).ids)
    else:
        about, tokens = "about ", sum(_estimate(template, message.content or "") for message in messages)
    what = "the system message and the last turn alone have" if dropped else "the chat has"
    return ContextLengthError(
        f"{what} {about}{tokens:,} tokens, but only {max_tokens:,} fit; shorten the messages",
        prompt_tokens=tokens,
        limit=max_tokens,
    )


def _estimate(template: ChatTemplate, text: str) -> int:
    sample = text[:_SAMPLE_CHARS]
    return template.tokenizer.count(sample) * len(text) // max(len(sample), 1)
