"""Vectors of texts, computed beside answers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from chatwright.chat import Message
from chatwright.errors import ContextLengthError, InputError, InvalidParameterError
from chatwright.server.backends.base import ChatRequest
from chatwright.server.backends.local import LocalBackend


@pytest.fixture(scope="module")
async def backend(tiny_model_dir: Path) -> AsyncIterator[LocalBackend]:
    """The tiny model."""
    backend = LocalBackend.open(str(tiny_model_dir), device="cpu", dtype="float32", threads=1, kv_memory_bytes=8 << 20)
    yield backend
    await backend.close()


@pytest.mark.anyio
async def test_a_vector_does_not_depend_on_what_else_is_embedded(backend: LocalBackend) -> None:
    texts = ["hello", "天空为什么是蓝色的", "word " * 90, "a somewhat longer text than the first"]
    together = await backend.embed(texts)
    assert together.vectors.shape == (4, 32)
    assert together.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)
    for index, text in enumerate(texts):
        alone = await backend.embed([text])
        assert np.allclose(alone.vectors[0], together.vectors[index], atol=1e-5)
    by_ids = await backend.embed([await backend.encode("hello")])
    assert np.allclose(by_ids.vectors[0], together.vectors[0], atol=1e-5)


@pytest.mark.anyio
async def test_answers_are_the_same_while_texts_are_embedded(backend: LocalBackend) -> None:
    request = ChatRequest((Message("user", "hello"),), {"temperature": 0, "max_tokens": 60})

    async def text() -> str:
        return "".join([piece.text async for piece in await backend.chat(request)])

    alone = await text()
    beside, _, embedded = await asyncio.gather(text(), text(), backend.embed(["word " * 100] * 20))
    assert beside == alone
    assert np.allclose(embedded.vectors, embedded.vectors[0])


@pytest.mark.anyio
async def test_what_cannot_be_embedded_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(InputError):
        await backend.embed(["", "a"])
    with pytest.raises(ContextLengthError):
        await backend.embed(["word " * 900])
    with pytest.raises(InvalidParameterError):
        await backend.embed([[10_000_000]])
