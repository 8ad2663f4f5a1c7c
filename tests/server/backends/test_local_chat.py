"""The engine in this process behind the server's interface."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatwright.chat import Message
from chatwright.errors import ContextLengthError, InvalidParameterError
from chatwright.loaded import LoadedModel
from chatwright.server.backends.base import Answer, ChatRequest, TextRequest
from chatwright.server.backends.local import LocalBackend

HELLO = (Message("user", "hello"),)


@pytest.fixture(scope="module")
async def backend(tiny_model_dir: Path) -> AsyncIterator[LocalBackend]:
    """The tiny model."""
    backend = LocalBackend.open(str(tiny_model_dir), device="cpu", dtype="float32", threads=1, kv_memory_bytes=32 << 20)
    yield backend
    await backend.close()


async def text_of(answer: Answer) -> str:
    """The whole text of the first answer."""
    return "".join([piece.text async for piece in answer if piece.index == 0])


@pytest.mark.anyio
async def test_a_chat_is_answered_as_the_engine_answers(backend: LocalBackend, tiny_loaded: LoadedModel) -> None:
    answer = await backend.chat(ChatRequest(HELLO, {"temperature": 0, "max_tokens": 12}))
    text = await text_of(answer)
    prompt = tiny_loaded.template.render(HELLO, add_generation_prompt=True).ids
    expected = tiny_loaded.engine.submit(prompt, tiny_loaded.sampling.replace(temperature=0, max_tokens=12)).result()[0]
    assert text == expected.text
    assert answer.usage.prompt == len(prompt) == await backend.count(HELLO)
    assert answer.usage.completion == len(expected.token_ids)


@pytest.mark.anyio
async def test_scores_spell_the_text_and_half_characters(backend: LocalBackend) -> None:
    request = TextRequest("你好", {"temperature": 0, "max_tokens": 8, "logprobs": 2, "prompt_logprobs": 1})
    answer = await backend.complete(request)
    pieces = [piece async for piece in answer]
    scores = [score for piece in pieces for score in piece.scores or ()]
    assert len(scores) == answer.usage.completion == sum(piece.num_tokens for piece in pieces)
    assert all(score.logprob <= 0 and len(score.top) == 2 for score in scores)
    assert answer.prompt_scores is not None
    assert answer.prompt_scores[0] is None
    known = [score for score in answer.prompt_scores[1:] if score is not None]
    assert len(known) == len(await backend.encode("你好")) - 1


@pytest.mark.anyio
async def test_refusals_say_what_is_wrong_before_anything_runs(backend: LocalBackend) -> None:
    with pytest.raises(ContextLengthError):
        await backend.chat(ChatRequest((Message("user", "word " * 2000),)))
    with pytest.raises(InvalidParameterError, match="temprature"):
        await backend.chat(ChatRequest(HELLO, {"temprature": 1}))
    assert not backend.busy


@pytest.mark.anyio
async def test_old_turns_are_dropped_only_by_policy_and_counted(backend: LocalBackend) -> None:
    chat = tuple(Message("user" if i % 2 == 0 else "assistant", f"{i} " * 40) for i in range(21))
    answer = await backend.chat(ChatRequest(chat, {"max_tokens": 4}, context_policy="drop_oldest"))
    assert answer.dropped_turns > 0
    answer.cancel()
    [piece async for piece in answer]


@pytest.mark.anyio
async def test_a_cancelled_answer_frees_its_place(backend: LocalBackend) -> None:
    answer = await backend.chat(ChatRequest(HELLO, {"max_tokens": 400, "logit_bias": {2: -100}, "ignore_eos": True}))
    pieces = []
    async for piece in answer:
        pieces.append(piece)
        answer.cancel()
    assert pieces[-1].finish_reason == "cancelled"
    assert not backend.busy
