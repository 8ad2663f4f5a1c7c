"""One answer being written: from a row of logits to the next piece of text."""

from chatwright.engine.generation import Completion, Delta, FinishReason, TokenLogprob
from chatwright.engine.grammar import Matcher
from chatwright.engine.params import SamplingParams
from chatwright.engine.sampler import LogitsHook, Row, Sampler, token_logprob
from chatwright.engine.sequence import Sequence
from chatwright.engine.stop import StopStrings
from chatwright.tokenizer import Detokenizer, Tokenizer

PRIMING_TOKENS = 16  # a character has at most 4 bytes, so 4 tokens would do; what the decoder needs is covered amply


class Answer:
    """Chooses tokens, turns them into text, and knows when to stop.

    Args:
        sequence: where the tokens go; its prompt is there already.
        index: which of the request's answers this is.
        params: the request's parameters.
        seed: the request's seed.
        limit: most tokens the sequence may have, prompt included.
        end_ids: tokens that end the answer.
        tokenizer: turns tokens into text.
        matcher: the state of the constraint, if there is one; this answer's own.
        hook: changes logits before a token is chosen.
    """

    def __init__(
        self,
        sequence: Sequence,
        *,
        index: int,
        params: SamplingParams,
        seed: int,
        limit: int,
        end_ids: frozenset[int],
        tokenizer: Tokenizer,
        matcher: Matcher | None,
        hook: LogitsHook | None = None,
    ) -> None:
        self.sequence = sequence
        self.index = index
        self.finish_reason: FinishReason | None = None
        self._params = params
        self._limit = limit
        self._end_ids = end_ids
        self._matcher = matcher
        self._hook = hook
        self._sampler = Sampler(params, index=index, seed=seed, prompt_ids=sequence.tokens)
        self._detokenizer = primed_detokenizer(tokenizer, sequence.tokens)
        self._stop = StopStrings(params.stop)
        self._texts: list[str] = []
        self._logprobs: list[TokenLogprob] = []

    def take(self, logits_V: Row) -> Delta:
        """Choose the next token, append it to the sequence, and return the piece of answer it makes.

        Args:
            logits_V: float32 [vocab_size], overwritten.
        Raises:
            EngineError: no token can be chosen.
        """
        params, tokens = self._params, self.sequence.tokens
        raw_V = None if params.logprobs is None else logits_V.copy()
        self._sampler.adjust(logits_V)
        if self._hook is not None:
            self._hook(tokens, logits_V)
        if self._matcher is not None:
            self._matcher.mask(logits_V)
        token = self._sampler.choose(logits_V, len(tokens))
        tokens.append(token)
        self._sampler.count(token)
        logprobs = None
        if raw_V is not None and params.logprobs is not None:
            logprobs = (token_logprob(raw_V, token, params.logprobs),)
            self._logprobs.extend(logprobs)
        text = self._read(token)
        return Delta(self.index, text, (token,), logprobs, self.finish_reason)

    def cancel(self) -> Delta:
        """End the answer where it is; the last piece holds what was held back."""
        text = self._finish("cancelled")
        return Delta(self.index, text, (), None, self.finish_reason)

    def completion(
        self, *, prompt_logprobs: tuple[TokenLogprob | None, ...] | None, prompt_tokens: int, cached_tokens: int
    ) -> Completion:
        """The whole answer, once it is finished; the arguments are what the request knows."""
        assert self.finish_reason is not None
        return Completion(
            index=self.index,
            text="".join(self._texts),
            token_ids=tuple(self.sequence.tokens[self.sequence.prompt_length :]),
            finish_reason=self.finish_reason,
            logprobs=tuple(self._logprobs) if self._params.logprobs is not None else None,
            prompt_logprobs=prompt_logprobs,
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
        )

    def _read(self, token: int) -> str:
        """The text that ``token`` releases; sets ``finish_reason`` where it ends the answer."""
        if token in self._end_ids:
            return self._finish("stop")
        text, stopped = self._stop.push(self._detokenizer.push(token))
        self._texts.append(text)
        if stopped:
            self.finish_reason = "stop"
        elif self._matcher is not None and self._matcher.consume(token):
            text += self._finish("stop")
        elif len(self.sequence.tokens) >= self._limit:
            text += self._finish("length")
        return text

    def _finish(self, reason: FinishReason) -> str:
        rest = self._detokenizer.flush()
        if reason != "stop":
            # A character cut in the middle is not shown as a replacement mark: when the answer is continued from its
            # tokens, the next piece begins with the whole character.
            rest = rest.rstrip("\N{REPLACEMENT CHARACTER}")
        text, stopped = self._stop.push(rest)
        if not stopped:
            text += self._stop.flush()
        self._texts.append(text)
        self.finish_reason = "stop" if stopped else reason
        return text


def primed_detokenizer(tokenizer: Tokenizer, prompt_ids: list[int]) -> Detokenizer:
    """A detokenizer that has read the end of the prompt.

    If the prompt ends within an answer that is to be continued, the first new token may complete a character, or follow
    a word with a space that a decoder drops at the beginning of a text. After a control token a new text begins.
    """
    detokenizer = Detokenizer(tokenizer)
    tail = prompt_ids[-PRIMING_TOKENS:]
    for i in range(len(tail) - 1, -1, -1):
        if tail[i] in tokenizer.special_ids:
            tail = tail[i + 1 :]
            break
    for token in tail:
        detokenizer.push(token)
    return detokenizer
