"""Answers that belong to a language: JSON under a schema, a regular expression, one of several strings.

``llguidance`` does the parsing; it computes, for every state, which tokens may follow. Control tokens never may, except
the end of the answer where the text is complete.
"""

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from chatwright.engine.params import Constraint
from chatwright.errors import ConstraintError, EngineError, InvalidParameterError
from chatwright.tokenizer import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions

# JSON on one line, with at most one space after a comma or a colon. White space is allowed anywhere by default, and a
# model that does not know how to go on then writes it without end.
_COMPACT_JSON: "JsonCompileOptions" = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
REMEMBERED = 32  # compiled constraints: a server sees the same few schemas again and again


class Matcher:
    """The state of one answer within its language.

    Args:
        state: a matcher at its beginning, this object's own.
        vocab_size: length of a logits row, which may be longer than the tokenizer's vocabulary.
    """

    def __init__(self, state: "LLMatcher", vocab_size: int) -> None:
        self._state = state
        self._bits = np.zeros(-(-vocab_size // 32), dtype=np.int32)

    def mask(self, logits_V: np.ndarray) -> None:
        """Set the logits of all tokens that may not follow to minus infinity, in place."""
        self._state.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._check()
        allowed_V = np.unpackbits(self._bits.view(np.uint8), count=len(logits_V), bitorder="little")
        logits_V[allowed_V == 0] = -np.inf

    def consume(self, token: int) -> bool:
        """Advance by a token; returns whether the text is complete and nothing can follow."""
        self._state.consume_token(token)
        self._check()
        return bool(self._state.is_stopped())

    def copy(self) -> "Matcher":
        """An independent matcher in the same state."""
        return Matcher(self._state.deep_copy(), self._bits.size * 32)

    def _check(self) -> None:
        if self._state.is_error():
            reason = self._state.get_error().partition("\n")[0]  # the library's whole state follows
            raise ConstraintError(f"no answer can keep to the constraint ({reason}); simplify or loosen it")


class GrammarCompiler:
    """Compiles constraints for one tokenizer; safe to call from any thread.

    Args:
        tokenizer: whose tokens are masked.
        vocab_size: length of a logits row.
        eos_ids: the tokens that end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._eos_ids = eos_ids
        self._lock = threading.Lock()
        self._vocabulary: LLTokenizer | None = None
        self._compiled: OrderedDict[Constraint, LLMatcher] = OrderedDict()

    def matcher(self, constraint: Constraint) -> Matcher:
        """A matcher at the beginning of ``constraint``.

        Raises:
            InvalidParameterError: the schema or pattern is not valid, or uses what is not supported.
            EngineError: llguidance is not installed, or cannot read the tokenizer.
        """
        with self._lock:
            state = self._compiled.get(constraint)
            if state is None:
                state = self._compiled[constraint] = self._compile(constraint)
                if len(self._compiled) > REMEMBERED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(constraint)
            return Matcher(state.deep_copy(), self._vocab_size)

    def _compile(self, constraint: Constraint) -> "LLMatcher":
        try:
            import llguidance
        except ImportError as error:
            raise EngineError(
                f"constrained output needs the package llguidance, which cannot be imported ({error}); "
                "install it with: pip install llguidance"
            ) from None
        if self._vocabulary is None:
            self._vocabulary = self._read_vocabulary()
        try:
            grammar = _grammar_text(constraint)
            problem = llguidance.LLMatcher.validate_grammar(grammar, self._vocabulary)
        except ValueError as error:
            problem = str(error)
        if problem and not problem.startswith("WARNING"):
            raise InvalidParameterError(
                constraint.kind, f"the {constraint.kind} of the constraint cannot be used: {_in_one_line(problem)}"
            )
        return llguidance.LLMatcher(self._vocabulary, grammar, log_level=0)

    def _read_vocabulary(self) -> "LLTokenizer":
        import llguidance

        try:
            return llguidance.LLTokenizer(
                self._tokenizer.json(), n_vocab=self._vocab_size, eos_token=sorted(self._eos_ids)
            )
        except Exception as error:  # the library raises bare Exception and ValueError for a tokenizer it cannot read
            raise EngineError(f"constrained output does not work with this model's tokenizer: {error}") from error


def _in_one_line(problem: str) -> str:
    """What is wrong, without the library's drawing of the place in a pattern that the person has just typed."""
    causes = [line.removeprefix("error: ") for line in problem.splitlines() if line.startswith("error: ")]
    return causes[0] if causes else " ".join(problem.split())


def _grammar_text(constraint: Constraint) -> str:
    import llguidance

    if constraint.kind in ("json_schema", "json_object"):
        schema = constraint.text if constraint.kind == "json_schema" else '{"type": "object"}'
        return str(llguidance.LLMatcher.grammar_from_json_schema(schema, defaults=_COMPACT_JSON))
    if constraint.kind == "regex":
        return str(llguidance.LLMatcher.grammar_from_regex(constraint.text))
    if constraint.kind == "grammar":
        return str(llguidance.LLMatcher.grammar_from_lark(constraint.text))
    choices = " | ".join(json.dumps(choice) for choice in json.loads(constraint.text))
    return str(llguidance.LLMatcher.grammar_from_lark(f"start: {choices}"))
