"""An answer to somebody who was let in, from its first piece until its place is given back."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

import anyio

from chatwright.server.answering.protocols import Admission, Moderation, Served
from chatwright.server.backends.base import Answer, Piece, TokenScore, TokenUsage
from chatwright.server.backends.joined import JoinedAnswer
from chatwright.server.operations import metrics
from chatwright.server.principal import Principal

PromptScores = tuple[TokenScore | None, ...]


class AdmittedAnswer:
    """An answer to somebody who was let in: moderated, counted, and freed whatever happens.

    Iterate over it within ``async with``: leaving the block cancels what is unfinished and gives the place back.

    Attributes:
        model: the name under which it is served; ``version`` is that of its weights.
        headers: for the HTTP answer.
    """

    def __init__(
        self,
        served: Served,
        principal: Principal,
        moderation: Moderation,
        admission: AbstractAsyncContextManager[Admission],
        admitted: Admission,
        answers: Sequence[Answer],
        n: int = 1,
    ) -> None:
        self.model = served.name
        self.version = served.backend.version
        self.headers = admitted.headers
        self._answers = answers
        self._answer = answers[0] if len(answers) == 1 else JoinedAnswer(answers, n)
        self._admission = admission
        self._admitted = admitted
        self._written = aiter(self._answer)
        self._shown = moderation.watch_output(principal, served.name, self._written)
        self._closed = False
        metrics.answer_began(self.model)

    @property
    def usage(self) -> TokenUsage:
        """Tokens so far; final after the last piece."""
        return self._answer.usage

    @property
    def dropped_turns(self) -> int:
        """Turns that the model was not sent."""
        return self._answer.dropped_turns

    @property
    def prompt_scores(self) -> tuple[PromptScores | None, ...]:
        """Of each prompt in turn; see :class:`~chatwright.server.backends.base.Answer`."""
        return tuple(answer.prompt_scores for answer in self._answers)

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self._shown

    def cancel(self) -> None:
        """Stop generating; the iteration ends soon with the finish reason ``cancelled``."""
        self._answer.cancel()

    async def __aenter__(self) -> "AdmittedAnswer":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Cancel what is unfinished, count what was used, give the place back. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._answer.cancel()
        # Whoever was cancelled because the client has gone must still be counted and leave the queue.
        with anyio.CancelScope(shield=True):
            try:
                for pieces in (self._shown, self._written):
                    if isinstance(pieces, AsyncGenerator):
                        await pieces.aclose()
                await self._admitted.settle(self._answer.usage)
            finally:
                metrics.answer_ended(self.model, self._answer.usage)
                await self._admission.__aexit__(None, None, None)
