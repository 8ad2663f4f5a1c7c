"""What people used, by user, key, model and hour: the ground of bills, charts, and of nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Label, SQLColumnExpression, func, select
from sqlalchemy.dialects import postgresql, sqlite

from chatwright.server.backends.base import TokenUsage
from chatwright.server.database import Database
from chatwright.server.database.tables import Usage, User
from chatwright.server.identifiers import now_ms
from chatwright.server.principal import Principal

Grouping = Literal["day", "hour", "user", "model"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A sum over everything that is not named: what it is not grouped by is None."""

    start_ms: int | None
    user_id: str | None
    user_name: str | None
    model: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int


class UsageLog:
    """Adds up requests and tokens.

    Args:
        database: holds one row for each user, key, model and hour.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = sqlite.insert if database.is_sqlite else postgresql.insert

    async def record(self, principal: Principal, model: str, usage: TokenUsage) -> None:
        """Count one request."""
        now = now_ms()
        new = self._insert(Usage).values(
            user_id=principal.user_id,
            key_id=principal.key_id or "",
            model=model,
            hour_ms=now - now % HOUR_MS,
            requests=1,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
        )
        counted = ("requests", "prompt_tokens", "completion_tokens")
        sums = {name: getattr(Usage, name) + getattr(new.excluded, name) for name in counted}
        keys = [column.name for column in Usage.__table__.primary_key]
        async with self._database.write() as session:
            await session.execute(new.on_conflict_do_update(index_elements=keys, set_=sums))

    async def summary(
        self,
        by: Sequence[Grouping],
        *,
        from_ms: int,
        to_ms: int,
        utc_offset_minutes: int = 0,
        user_id: str | None = None,
        limit: int,
    ) -> list[UsageRow]:
        """Sums of what was used.

        Args:
            by: what has sums of its own; the newest first, then the most tokens.
            from_ms, to_ms: begin (included) and end (excluded), to the hour.
            utc_offset_minutes: of the time zone whose days are meant.
            user_id: whose; None is everybody's.
            limit: rows at most.
        """
        groups: dict[str, SQLColumnExpression[Any]] = {}
        if "hour" in by:
            groups["start_ms"] = Usage.hour_ms
        elif "day" in by:
            shift = utc_offset_minutes * 60_000
            groups["start_ms"] = Usage.hour_ms - (Usage.hour_ms + shift) % DAY_MS
        if "user" in by:
            groups["user_id"] = Usage.user_id
            groups["user_name"] = User.name
        if "model" in by:
            groups["model"] = Usage.model
        prompt, completion = func.sum(Usage.prompt_tokens), func.sum(Usage.completion_tokens)
        columns: list[Label[Any]] = [column.label(name) for name, column in groups.items()]
        query = (
            select(*columns, func.sum(Usage.requests), prompt, completion)
            .where(Usage.hour_ms >= from_ms - from_ms % HOUR_MS, Usage.hour_ms < to_ms)
            .limit(limit)
        )
        if "user" in by:
            query = query.outerjoin(User, User.id == Usage.user_id)
        if user_id is not None:
            query = query.where(Usage.user_id == user_id)
        if columns:
            query = query.group_by(*columns)
        newest = [columns[0].desc()] if "start_ms" in groups else []
        async with self._database.read() as session:
            rows = (await session.execute(query.order_by(*newest, (prompt + completion).desc()))).all()
        return [_row(tuple(groups), tuple(row)) for row in rows if row[-1] is not None]


def _row(names: tuple[str, ...], values: tuple[Any, ...]) -> UsageRow:
    given = dict(zip(names, values, strict=False))
    requests, prompt, completion = map(int, values[len(names) :])
    return UsageRow(
        start_ms=given.get("start_ms"),
        user_id=given.get("user_id"),
        user_name=given.get("user_name"),
        model=given.get("model"),
        requests=requests,
        prompt_tokens=prompt,
        completion_tokens=completion,
    )
