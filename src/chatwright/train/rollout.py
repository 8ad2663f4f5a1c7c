"""Sampling answers from the weights in training, by the engine that serves them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chatwright.chat import ChatTemplate
from chatwright.data.example import Document
from chatwright.data.rows import Prompt
from chatwright.engine.generation import Completion
from chatwright.engine.params import SamplingParams
from chatwright.loaded import LoadedModel
from chatwright.model import GPT
from chatwright.tokenizer import Tokenizer
from chatwright.train.reference import evaluating

_MAX_SEQUENCES = 64  # that are decoded together
_MEASURED = 8  # answers of a rollout whose log-probabilities the sampler is asked for; each costs it a softmax a token


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt and its token ids, up to where the assistant answers."""

    row: Prompt
    ids: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Answer:
    """A sampled answer.

    Attributes:
        prompt: what was asked.
        ids: generated tokens, the one that ends the answer included, int32.
        text: the answer, without control tokens.
        finished: False where it was cut for its length.
        log_probs: of the tokens by the sampler, at temperature 1, float32; NaN where it was not asked.
    """

    prompt: EncodedPrompt
    ids: NDArray[np.int32]
    text: str
    finished: bool
    log_probs: NDArray[np.float32]

    def document(self, *, learned: bool = True) -> Document:
        """Prompt and answer, the answer's tokens learned."""
        ids = np.concatenate([self.prompt.ids, self.ids])
        return Document(ids, (np.arange(len(ids)) >= len(self.prompt.ids)) & learned)


def sample_answers(
    model: GPT,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    prompts: Sequence[EncodedPrompt],
    seeds: Sequence[int],
    *,
    num_answers: int,
    max_tokens: int,
    temperature: float,
) -> list[Answer]:
    """Answer every prompt, all of them batched continuously.

    Args:
        model: its weights are shared, not copied; dropout is off while it answers.
        tokenizer, template: the model's.
        prompts: at least one.
        seeds: of each prompt: the same seed and weights give the same answers.
        num_answers: to each prompt.
        max_tokens: of an answer.
        temperature: > 0; nothing else distorts the model's distribution, so that what is sampled is what is learned.

    Returns:
        The answers to the first prompt, then those to the second, and so on.

    Raises:
        EngineError: the model's logits are not finite, say.
    """
    longest = max(len(prompt.ids) for prompt in prompts) + max_tokens
    with evaluating(model):
        loaded = LoadedModel.of(
            model,
            tokenizer,
            template,
            max_model_len=min(longest, model.config.max_position_embeddings),
            max_num_seqs=min(len(prompts) * num_answers, _MAX_SEQUENCES),
            batch_decoding=True,
        )
        try:
            generations = []
            with loaded.engine.together():  # a resumed run has to sample the very same answers
                for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
                    params = SamplingParams(
                        temperature=temperature,
                        max_tokens=max_tokens,
                        n=num_answers,
                        seed=seed,
                        stop=template.stop_texts,
                        logprobs=0 if index * num_answers < _MEASURED else None,
                    )
                    generations.append(loaded.engine.submit(prompt.ids.tolist(), params))
            return [
                _answer(prompt, completion)
                for prompt, generation in zip(prompts, generations, strict=True)
                for completion in generation.result()
            ]
        finally:
            loaded.close()


def seed_of(*numbers: int) -> int:
    """A sampling seed for a place in training: of the run, the rollout, the prompt."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _answer(prompt: EncodedPrompt, completion: Completion) -> Answer:
    ids = np.array(completion.token_ids, dtype=np.int32)
    log_probs = np.full(len(ids), np.nan, dtype=np.float32)
    if completion.logprobs is not None:
        log_probs[:] = [entry.logprob for entry in completion.logprobs]
    return Answer(prompt, ids, completion.text, completion.finish_reason == "stop", log_probs)
