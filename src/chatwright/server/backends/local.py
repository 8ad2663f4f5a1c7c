"""The engine in this process as a backend: renders and tokenises off the event loop, submits, and reads the answer."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio
import anyio.to_thread
import numpy as np
import torch

from chatwright.chat import Message
from chatwright.engine.params import Constraint, SamplingParams
from chatwright.errors import ContextLengthError, InvalidParameterError
from chatwright.loaded import LoadedModel
from chatwright.model.digest import weights_digest
from chatwright.model.inside import look_inside
from chatwright.safety.watermark import Watermark
from chatwright.server.backends.base import ChatRequest, Embeddings, Health, TextRequest, TokenizerFacts
from chatwright.server.backends.embedding import batches, mean_vectors, token_rows
from chatwright.server.backends.inside import MAX_TOKENS, Inside, InsideRequest, named_ids
from chatwright.server.backends.local_answer import LocalAnswer
from chatwright.server.backends.prompting import Prompter
from chatwright.server.backends.reading import PlainReader, Reader

T = TypeVar("T")
_QUICK_CHARS: Final = 2_000  # tokenised at once: below half a millisecond, handing over costs more than it saves


class LocalBackend:
    """See :class:`~chatwright.server.backends.base.Backend`.

    Args:
        loaded: the model; belongs to the backend from now on, which closes it.
        version: of its weights.
        watermark: marks what is sampled; None leaves it unmarked.
    """

    def __init__(self, loaded: LoadedModel, *, version: str, watermark: Watermark | None = None) -> None:
        self.version = version
        self.context_length: int | None = loaded.engine.max_model_len
        self._loaded = loaded
        self._watermark = watermark
        self._prompter = Prompter(loaded)
        # Of its own, so that long texts for the model never make sign-ins and files wait; and few: they use the CPU.
        self._threads = anyio.CapacityLimiter(4)

    @classmethod
    def open(cls, source: str | Path | None, *, watermark: Watermark | None = None, **options: Any) -> "LocalBackend":
        """Load a model; takes as long as reading its weights. Arguments and errors of :meth:`LoadedModel.open`."""
        loaded = LoadedModel.open(source, **options)
        try:
            return cls(loaded, version=weights_digest(loaded.source), watermark=watermark)
        except BaseException:
            loaded.close()
            raise

    @property
    def busy(self) -> bool:
        """Whether an answer is being written."""
        return self._loaded.engine.unfinished > 0

    @property
    def memory_bytes(self) -> int:
        """Of the weights. Memory for keys and values becomes resident only as it is used."""
        model = self._loaded.engine.model
        return 0 if model is None else sum(parameter.nbytes for parameter in model.parameters())

    async def chat(self, request: ChatRequest) -> LocalAnswer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        params = self._params(request.sampling, stop=self._loaded.template.stop_texts)
        prompt = await self._run(partial(self._prompter.prompt, request, params.max_tokens))
        params = await self._constrained(params, prompt.constraint)
        readers = [prompt.reader() for _ in range(params.n)]
        return self._submit(prompt.ids, params, request.owner, readers, prompt.dropped_turns)

    async def complete(self, request: TextRequest) -> LocalAnswer:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        params = self._params(request.sampling, stop=())
        ids = list(request.prompt) if not isinstance(request.prompt, str) else await self.encode(request.prompt)
        if isinstance(request.prompt, str) and self._loaded.tokenizer.adds_bos:
            assert self._loaded.tokenizer.bos_id is not None
            ids = [self._loaded.tokenizer.bos_id, *ids]
        params = await self._constrained(params, request.constraint)
        return self._submit(ids, params, request.owner, [PlainReader() for _ in range(params.n)])

    async def embed(self, inputs: Sequence[str | Sequence[int]], *, owner: str = "") -> Embeddings:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        loaded = self._loaded
        model = loaded.engine.model
        if model is None:
            raise InvalidParameterError("model", "this model gives no embeddings")
        rows = await self._run(partial(token_rows, loaded.tokenizer, inputs, limit=loaded.engine.max_model_len))
        vectors = np.empty((len(rows), model.config.hidden_size), np.float32)
        for batch in batches(rows):
            # A piece at a time on the engine's own thread: answers in flight go on in between, and no two threads
            # ever use the device at once.
            part: Future[Any] = loaded.engine.call(partial(mean_vectors, model, [rows[i] for i in batch]))
            vectors[batch] = await asyncio.wrap_future(part)
        return Embeddings(vectors, sum(map(len, rows)))

    async def inside(self, request: InsideRequest) -> Inside:
        """See :class:`~chatwright.server.backends.inside.SeesInside`.

        By the weights as they are loaded. Where single tokens are decoded in 8 bits, a probability is not exactly the
        one by which the answer was written: by 0.9 points of a hundred on average (SmolLM2-135M, 300 tokens).
        """
        loaded = self._loaded
        model, tokenizer = loaded.engine.model, loaded.tokenizer
        if model is None:
            raise InvalidParameterError("model", "the inside of this model cannot be seen")
        ids, answer_start, dropped_turns = await self._run(partial(self._read_back, request))
        wish = request.wish(answer_start, model.config.vocab_size)
        findings = await self._between_steps(look_inside(model, ids, wish))
        named = named_ids(ids, findings)
        return Inside(
            num_layers=model.config.num_layers,
            num_heads=model.config.num_heads,
            ids=ids,
            answer_start=answer_start,
            dropped_turns=dropped_turns,
            pieces={token: tokenizer.token_bytes(token) for token in named},
            control=tokenizer.special_ids & named,
            findings=findings,
        )

    async def encode(self, text: str) -> list[int]:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        encode = self._loaded.tokenizer.encode
        return encode(text) if len(text) <= _QUICK_CHARS else await self._run(partial(encode, text))

    async def decode(self, ids: Sequence[int]) -> str:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        tokenizer = self._loaded.tokenizer
        size = self._loaded.engine.vocab_size
        if (bad := next((token for token in ids if not 0 <= token < size), None)) is not None:
            raise InvalidParameterError(
                "prompt_ids", f"prompt_ids has token id {bad}; the model's ids go from 0 to {size - 1}"
            )
        return await self._run(partial(tokenizer.decode, ids, skip_special=False))

    async def tokenizer_facts(self) -> TokenizerFacts:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        tokenizer = self._loaded.tokenizer
        bos, eos, pad = (
            tokenizer.piece(token) if token is not None else None
            for token in (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
        )
        return TokenizerFacts(tokenizer.vocab_size, bos, eos, pad, self._loaded.template.source)

    async def count(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """See :class:`~chatwright.server.backends.base.Backend`. Of more than a million characters an estimate."""
        return await self._run(partial(self._prompter.count, messages, tools))

    async def health(self) -> Health:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        return Health("ready")

    async def close(self) -> None:
        """See :class:`~chatwright.server.backends.base.Backend`."""
        await anyio.to_thread.run_sync(self.free)

    def free(self) -> None:
        """Give the memory back; waits for the engine's thread."""
        self._loaded.close()

    def _read_back(self, request: InsideRequest) -> tuple[tuple[int, ...], int, int]:
        """Prompt and answer as the model reads them, where the answer begins, and how many turns are left out."""
        prompt = self._prompter.prompt(request.chat, request.chat.sampling.get("max_tokens"))
        ids = (*prompt.ids, *self._prompter.written(prompt, request.answer))
        limit = min(MAX_TOKENS, self._loaded.engine.max_model_len)
        if len(ids) > limit:
            raise ContextLengthError(
                f"this answer and the conversation before it have {len(ids):,} tokens; the view inside reads {limit:,}",
                prompt_tokens=len(ids),
                limit=limit,
            )
        return ids, len(prompt.ids), prompt.dropped_turns

    async def _between_steps(self, work: Generator[None, None, T]) -> T:
        """Drive work that comes in pieces on the engine's own thread: answers in flight go on between two pieces."""
        while True:
            piece: Future[_Done[T] | None] = self._loaded.engine.call(partial(_next_piece, work))
            if (done := await asyncio.wrap_future(piece)) is not None:
                return done.result

    async def _run(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(function, limiter=self._threads)

    def _params(self, sampling: Mapping[str, Any], *, stop: Sequence[str]) -> SamplingParams:
        """What the caller set over the makers' advice; a search takes no advice, which is on sampling."""
        wishes = dict(sampling)
        given = wishes.pop("stop", ())
        given = (given,) if isinstance(given, str) else tuple(given)
        advised = SamplingParams() if wishes.get("beam_width", 1) != 1 else self._loaded.sampling
        return advised.replace(**wishes, stop=tuple(dict.fromkeys((*given, *stop))))

    async def _constrained(self, params: SamplingParams, constraint: Constraint | None) -> SamplingParams:
        if constraint is None:
            return params
        await self._run(partial(self._loaded.engine.prepare, constraint))
        return params.replace(constraint=constraint)

    def _submit(
        self,
        ids: list[int],
        params: SamplingParams,
        owner: str,
        readers: Sequence[Reader],
        dropped_turns: int = 0,
    ) -> LocalAnswer:
        # On the event loop and with nothing awaited after it: a caller who is cancelled cannot leave a model running.
        generation = self._loaded.engine.submit(ids, params, owner=owner, hook=self._watermark)
        return LocalAnswer(
            generation, self._loaded.tokenizer, readers, prompt_tokens=len(ids), dropped_turns=dropped_turns
        )


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """What work that came in pieces has found."""

    result: T


def _next_piece(work: Generator[None, None, T]) -> _Done[T] | None:
    with torch.inference_mode():
        try:
            next(work)
        except StopIteration as end:
            return _Done(end.value)
    return None
