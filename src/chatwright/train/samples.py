"""What the model in training answers to the recipe's questions: numbers alone do not tell whether it speaks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chatwright.chat import ChatTemplate, Message
from chatwright.engine.params import SamplingParams
from chatwright.loaded import LoadedModel
from chatwright.model import GPT
from chatwright.session import Chat
from chatwright.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Attributes:
        prompt: the question, or the beginning of a text.
        answer: the most likely answer, or how the text goes on.
    """

    prompt: str
    answer: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def take_samples(
    model: GPT,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    as_chat: bool,
) -> list[Sample]:
    """The most likely answer to each prompt.

    Args:
        model: in eval mode; not changed.
        tokenizer, template: the model's.
        prompts: questions, or beginnings of texts.
        max_tokens: longest answer.
        as_chat: ask as a user would; False lets a base model go on with the text.
    """
    params = SamplingParams(temperature=0.0, max_tokens=max_tokens, stop=template.stop_texts)
    loaded = LoadedModel.of(model, tokenizer, template, max_num_seqs=max(len(prompts), 1))
    try:
        generations = [
            loaded.engine.submit(_prompt_ids(loaded, prompt, as_chat, max_tokens), params) for prompt in prompts
        ]
        answers = [generation.result()[0].text for generation in generations]
    finally:
        loaded.close()
    return [Sample(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]


def converse(loaded: LoadedModel, questions: Sequence[str], *, max_tokens: int) -> list[dict[str, str]]:
    """A conversation with a finished model, as its users will have it: one question after the other.

    Returns:
        Messages as ``{"role", "content"}``.
    """
    with Chat(loaded, seed=0) as chat:
        for question in questions:
            chat.ask(question, max_tokens=max_tokens)
        return [{"role": message.role, "content": message.content or ""} for message in chat.messages]


def _prompt_ids(loaded: LoadedModel, prompt: str, as_chat: bool, max_tokens: int) -> list[int]:
    if as_chat:
        return loaded.fit([Message("user", prompt)], "error", max_tokens).rendered.ids
    tokenizer = loaded.tokenizer
    return tokenizer.encode(prompt, add_bos=tokenizer.adds_bos)
