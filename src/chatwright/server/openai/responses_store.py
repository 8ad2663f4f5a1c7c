"""Responses that are kept, each its caller's own: for asking again, and for others to follow."""

from typing import Any, Final

import anyio.to_thread
from sqlalchemy import delete, or_, select

from chatwright.server.database import Database
from chatwright.server.database.tables.models import StoredResponse
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import now_ms
from chatwright.server.openai.responses_shapes import ResponseBody
from chatwright.server.privacy import PrivacyPolicy

KEPT_MS: Final = 30 * 24 * 3600 * 1000  # as long as OpenAI keeps them
_TEXTS: Final = frozenset({"text", "arguments", "output", "instructions"})  # keys whose values people or models wrote


class ResponseStore:
    """Keeps responses.

    Args:
        database: with the table ``responses``.
        privacy: says how texts are stored.
    """

    def __init__(self, database: Database, privacy: PrivacyPolicy) -> None:
        self._database = database
        self._privacy = privacy

    async def keep(self, user_id: str, body: ResponseBody, items: list[dict[str, Any]]) -> None:
        """Store a finished response with the items that it answers; forget the caller's oldest."""
        now = now_ms()
        written = body.model_dump()
        input_, output, written = await anyio.to_thread.run_sync(
            lambda: (self._stored(items), self._stored(written.pop("output")), self._stored(written))
        )
        async with self._database.write() as session:
            await session.execute(
                delete(StoredResponse).where(StoredResponse.user_id == user_id, StoredResponse.expires_ms < now)
            )
            session.add(
                StoredResponse(
                    id=body.id,
                    user_id=user_id,
                    previous_id=body.previous_response_id,
                    input=input_,
                    output=output,
                    body=written,
                    created_ms=now,
                    expires_ms=now + KEPT_MS,
                )
            )

    async def get(self, user_id: str, response_id: str) -> StoredResponse:
        """A response.

        Raises:
            ApiError: 404 when there is none, or none of this user's.
        """
        async with self._database.read() as session:
            found = await session.scalar(
                select(StoredResponse).where(
                    StoredResponse.id == response_id,
                    StoredResponse.user_id == user_id,
                    or_(StoredResponse.expires_ms.is_(None), StoredResponse.expires_ms >= now_ms()),
                )
            )
        if found is None:
            raise not_found("response", response_id)
        return found

    async def remove(self, user_id: str, response_id: str) -> None:
        """Delete a response. Raises as :meth:`get`."""
        await self.get(user_id, response_id)
        async with self._database.write() as session:
            await session.execute(
                delete(StoredResponse).where(StoredResponse.id == response_id, StoredResponse.user_id == user_id)
            )

    async def history(self, user_id: str, response_id: str | None) -> list[dict[str, Any]]:
        """Every item of the conversation that ends with a response, oldest first. Raises as :meth:`get`."""
        rows: list[StoredResponse] = []
        while response_id is not None:
            try:
                rows.append(await self.get(user_id, response_id))
            except ApiError as error:
                error.param = "previous_response_id"
                raise
            response_id = rows[-1].previous_id
        return [item for row in reversed(rows) for item in (*row.input, *row.output)]

    def _stored(self, value: Any, key: str = "") -> Any:
        """The value as it may be written; PostgreSQL keeps no NUL, which a model may well have generated."""
        if isinstance(value, dict):
            return {name.replace("\0", "\ufffd"): self._stored(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._stored(item, key) for item in value]
        if not isinstance(value, str):
            return value
        value = value.replace("\0", "\ufffd")
        return self._privacy.for_storage(value) if key in _TEXTS else value
