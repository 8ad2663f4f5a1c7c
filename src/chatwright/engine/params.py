"""What a caller may ask of a generation, checked where it enters; bounds are OpenAI's where OpenAI has one."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

from chatwright.errors import InvalidParameterError

MAX_STOP_STRINGS = 16  # OpenAI's API allows 4; a chat template whose turns end in plain text adds its own
MAX_STOP_CHARACTERS = 512
MAX_LOGPROBS = 20
MAX_N = 128
MAX_BEAMS = 32

_NOT_IN_BEAM_SEARCH = (
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "logprobs",
    "prompt_logprobs",
    "constraint",
)

ConstraintKind = Literal["json_schema", "json_object", "regex", "choice", "grammar"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A language that the answer must belong to. Build one with the class methods.

    Attributes:
        kind: what ``text`` is.
        text: JSON text of the schema, the pattern, a JSON list of the choices, or the grammar.
    """

    kind: ConstraintKind
    text: str

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any]) -> Self:
        """JSON that is valid under a JSON Schema. Raises InvalidParameterError if it is not a JSON object."""
        value: object = schema  # callers without a type checker pass anything
        if not isinstance(value, Mapping):
            raise InvalidParameterError("json_schema", f"json_schema is {schema!r}; it must be a JSON object (a dict)")
        try:
            return cls("json_schema", json.dumps(schema, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InvalidParameterError("json_schema", f"json_schema cannot be written as JSON: {error}") from None

    @classmethod
    def json_object(cls) -> Self:
        """Any JSON object."""
        return cls("json_object", "{}")

    @classmethod
    def regex(cls, pattern: str) -> Self:
        """Text that a regular expression (Rust ``regex`` syntax, no look-around) matches as a whole."""
        value: object = pattern
        if not isinstance(value, str) or not value:
            raise InvalidParameterError("regex", f"regex is {pattern!r}; it must be a pattern that is not empty")
        return cls("regex", pattern)

    @classmethod
    def grammar(cls, text: str) -> Self:
        """Text of a context-free grammar in llguidance's dialect of Lark, with ``%json {…}`` for schemas."""
        return cls("grammar", text)

    @classmethod
    def choice(cls, choices: Sequence[str]) -> Self:
        """Exactly one of the given strings."""
        value: object = choices
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not value
            or not all(isinstance(choice, str) and choice for choice in value)
        ):
            raise InvalidParameterError("choice", f"choice is {choices!r}; it must be a list of strings, none empty")
        return cls("choice", json.dumps(list(choices)))


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose tokens, and when to stop.

    Attributes:
        temperature: 0 takes the most likely token always; else logits are divided by it; 0 to 2.
        top_p: sample from the smallest set of tokens whose probability reaches this; 0 to 1.
        top_k: sample from the k most likely tokens; 0 means no limit.
        min_p: drop tokens less likely than this share of the most likely one; 0 to 1.
        repetition_penalty: divides positive (multiplies negative) logits of tokens in prompt or answer; 0.01 to 10.
        presence_penalty: subtracted from the logits of tokens that the answer has already; -2 to 2.
        frequency_penalty: subtracted once per occurrence in the answer; -2 to 2.
        logit_bias: token id → added to its logit; -100 to 100, where -100 forbids the token.
        seed: the same seed gives the same text, whatever else runs; None draws a fresh one.
        max_tokens: most tokens to generate; None means as many as the context holds.
        stop: up to 16 strings that end the answer; the text returned stops before them.
        stop_token_ids: tokens that end the answer, beside the model's end-of-sequence tokens.
        n: how many answers to one prompt.
        logprobs: give the log-probability of every generated token, and of this many most likely alternatives.
        prompt_logprobs: likewise for the prompt's tokens; switches the prefix cache off for the request.
        ignore_eos: go on after the model's end-of-sequence tokens (for benchmarks).
        beam_width: more than 1 searches for the most likely answer with this many beams in place of sampling.
        length_penalty: beams are ranked by log-probability / length ** length_penalty.
        constraint: the answer must belong to this language.

    Raises:
        InvalidParameterError: a value is out of bounds, not a number, NaN or infinite, or has no effect here.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    n: int = 1
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    ignore_eos: bool = False
    beam_width: int = 1
    length_penalty: float = 1.0
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        _check_number("temperature", self.temperature, 0, 2)
        _check_number("top_p", self.top_p, 0, 1)
        _check_integer("top_k", self.top_k, 0, None)
        _check_number("min_p", self.min_p, 0, 1)
        _check_number("repetition_penalty", self.repetition_penalty, 0.01, 10)
        _check_number("presence_penalty", self.presence_penalty, -2, 2)
        _check_number("frequency_penalty", self.frequency_penalty, -2, 2)
        if self.seed is not None:
            _check_integer("seed", self.seed, -(2**63), 2**63 - 1)
        if self.max_tokens is not None:
            _check_integer("max_tokens", self.max_tokens, 1, None)
        _check_integer("n", self.n, 1, MAX_N)
        if self.logprobs is not None:
            _check_integer("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        if self.prompt_logprobs is not None:
            _check_integer("prompt_logprobs", self.prompt_logprobs, 0, MAX_LOGPROBS)
        if not isinstance(self.ignore_eos, bool):
            raise InvalidParameterError("ignore_eos", f"ignore_eos is {self.ignore_eos!r}; it must be true or false")
        _check_integer("beam_width", self.beam_width, 1, MAX_BEAMS)
        _check_number("length_penalty", self.length_penalty, -10, 10)
        if self.constraint is not None and not isinstance(self.constraint, Constraint):
            raise InvalidParameterError(
                "constraint",
                f"constraint is {self.constraint!r}; build one with Constraint.json_schema(…) and the like",
            )
        set_ = object.__setattr__  # containers are normalised once, so that the engine sees tuples and a private dict
        set_(self, "logit_bias", _checked_bias(self.logit_bias))
        set_(self, "stop", _checked_stop(self.stop))
        set_(self, "stop_token_ids", _checked_ids("stop_token_ids", self.stop_token_ids))
        if self.beam_width > 1:
            self._check_beam()

    def replace(self, **changes: Any) -> Self:
        """A copy with some values changed; an unknown name or bad value is an InvalidParameterError."""
        known = {f.name for f in fields(self)}
        for name in changes:
            if name not in known:
                raise InvalidParameterError(
                    name, f"unknown sampling parameter {name!r}; known are: {', '.join(sorted(known))}"
                )
        return replace(self, **changes)

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise InvalidParameterError where a token id is not one of the model's ``vocab_size``."""
        for name, ids in (("logit_bias", tuple(self.logit_bias)), ("stop_token_ids", self.stop_token_ids)):
            for token in ids:
                if token >= vocab_size:
                    raise InvalidParameterError(
                        name, f"{name} has token id {token}; the model's ids go from 0 to {vocab_size - 1}"
                    )
        if self.beam_width > 1 and 2 * self.beam_width > vocab_size:
            raise InvalidParameterError(
                "beam_width", f"beam_width is {self.beam_width}; at most half the vocabulary ({vocab_size}) is possible"
            )

    def _check_beam(self) -> None:
        """Beam search is a search, not sampling: refuse what would have no effect rather than ignore it."""
        for name in _NOT_IN_BEAM_SEARCH:
            if getattr(self, name) != getattr(_PLAIN, name):
                raise InvalidParameterError(
                    name, f"{name} has no effect in a beam search; leave it out or set beam_width=1"
                )
        if self.temperature not in (0, 1):
            raise InvalidParameterError(
                "temperature", f"temperature {self.temperature} has no effect in a beam search; leave it out"
            )
        if self.n > self.beam_width:
            raise InvalidParameterError(
                "n", f"n is {self.n}; a beam search returns at most beam_width = {self.beam_width}"
            )


def _check_number(name: str, value: object, low: float, high: float) -> None:
    # bool is an int to Python, and NaN passes no comparison: both would slip through a plain range check
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidParameterError(name, f"{name} is {value!r}; it must be a number between {low} and {high}")
    if not low <= value <= high:
        raise InvalidParameterError(name, f"{name} is {value!r}; it must be between {low} and {high}")


def _check_integer(name: str, value: object, low: int, high: int | None) -> None:
    bounds = f"at least {low}" if high is None else f"between {low} and {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameterError(name, f"{name} is {value!r}; it must be an integer, {bounds}")
    if value < low or (high is not None and value > high):
        raise InvalidParameterError(name, f"{name} is {value!r}; it must be {bounds}")


def _checked_bias(bias: object) -> dict[int, float]:
    if not isinstance(bias, Mapping):
        raise InvalidParameterError("logit_bias", f"logit_bias is {bias!r}; it must map token ids to numbers")
    for token, value in bias.items():
        _check_integer("logit_bias", token, 0, None)
        _check_number(f"logit_bias[{token}]", value, -100, 100)
    return dict(bias)


def _checked_stop(stop: object) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) else stop  # one string is allowed, as in OpenAI's API
    if not isinstance(strings, Sequence) or not all(isinstance(s, str) for s in strings):
        raise InvalidParameterError("stop", f"stop is {stop!r}; it must be a string or a list of strings")
    if len(strings) > MAX_STOP_STRINGS:
        raise InvalidParameterError("stop", f"stop has {len(strings)} strings; at most {MAX_STOP_STRINGS} are allowed")
    for string in strings:
        if not 1 <= len(string) <= MAX_STOP_CHARACTERS:
            raise InvalidParameterError(
                "stop", f"a stop string has {len(string)} characters; it must have 1 to {MAX_STOP_CHARACTERS}"
            )
    return tuple(strings)


def _checked_ids(name: str, ids: object) -> tuple[int, ...]:
    if not isinstance(ids, Sequence) or isinstance(ids, str):
        raise InvalidParameterError(name, f"{name} is {ids!r}; it must be a list of token ids")
    for token in ids:
        _check_integer(name, token, 0, None)
    return tuple(ids)


_PLAIN = SamplingParams()
