"""What each person, key and model is allowed: the server's defaults, and the rules of administrators over them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from chatwright.server.database import Database
from chatwright.server.database.tables import LimitRule
from chatwright.server.errors import ApiError, not_found
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.limits.windows import Period, Unit, Window
from chatwright.server.principal import Principal
from chatwright.server.settings import Limits

Subject = Literal["user", "key", "model"]

_FRESH_S: Final = 5.0  # after which another process's change is seen

Amount = Annotated[int | None, Field(ge=1, le=10**12, description="at most so much; null is without limit")]


class RuleLimits(BaseModel):
    """What a rule says; what it does not mention stays as the defaults have it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: Amount = None
    requests_per_hour: Amount = None
    requests_per_day: Amount = None
    tokens_per_minute: Amount = None
    tokens_per_hour: Amount = None
    tokens_per_day: Amount = None
    concurrent_generations: Amount = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one limit")
        return self

    def said(self) -> dict[str, int | None]:
        """The limits that are mentioned."""
        return self.model_dump(exclude_unset=True)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What applies to one request.

    Attributes:
        windows: each of which must have room.
        slots: places that it takes one of, and how many of each there are.
    """

    windows: tuple[Window, ...]
    slots: dict[str, int]


class RuleBook:
    """The rules in force.

    Args:
        database: where they are kept.
        defaults: for every user.
    """

    def __init__(self, database: Database, defaults: Limits) -> None:
        self._database = database
        self._defaults = defaults
        self._rules: dict[tuple[str, str], dict[str, int | None]] = {}
        self._read_at = -_FRESH_S

    async def allowance(self, principal: Principal, model: str) -> Allowance:
        """What a request may take.

        A rule for a user stands in place of the defaults, one for a key or a model comes on top: each user may take so
        much with this key, or of this model. The only user of a server without accounts shares with nobody; there the
        defaults apply only as far as somebody set them.
        """
        rules = await self._current()
        owner = owner_of(principal)
        defaults = self._defaults.model_dump(exclude_unset=principal.channel == "local")
        by_subject = {owner: defaults | rules.get(("user", principal.user_id), {})}
        if principal.key_id and ("key", principal.key_id) in rules:
            by_subject[f"key:{principal.key_id}"] = rules["key", principal.key_id]
        if ("model", model) in rules:
            by_subject[f"{owner}/{model}"] = rules["model", model]
        return Allowance(
            tuple(window for subject, limits in by_subject.items() for window in _windows(subject, limits)),
            {
                subject: places
                for subject, limits in by_subject.items()
                if (places := limits.get("concurrent_generations")) is not None
            },
        )

    async def list(self, *, limit: int, after: str | None) -> Sequence[LimitRule]:
        """Rules in order of their ids."""
        query = select(LimitRule).order_by(LimitRule.id).limit(limit)
        if after is not None:
            query = query.where(LimitRule.id > after)
        async with self._database.read() as session:
            return (await session.scalars(query)).all()

    async def create(self, subject: Subject, subject_id: str, limits: RuleLimits) -> LimitRule:
        """A new rule.

        Raises:
            ApiError: 409: there is one for this subject.
        """
        rule = LimitRule(
            id=new_id("limit_"), subject=subject, subject_id=subject_id, limits=limits.said(), changed_ms=now_ms()
        )
        try:
            async with self._database.write() as session:
                session.add(rule)
        except IntegrityError:
            message = f"there is a rule for the {subject} {subject_id!r} already; change that one"
            raise ApiError(409, message, code="rule_exists", param="subject_id") from None
        self._forget()
        return rule

    async def change(self, rule_id: str, limits: RuleLimits) -> LimitRule:
        """Replace what a rule says.

        Raises:
            ApiError: 404.
        """
        async with self._database.write() as session:
            rule = await session.get(LimitRule, rule_id)
            if rule is None:
                raise not_found("limit rule", rule_id)
            rule.limits = limits.said()
            rule.changed_ms = now_ms()
        self._forget()
        return rule

    async def delete(self, rule_id: str) -> LimitRule:
        """Remove a rule, and return what it was.

        Raises:
            ApiError: 404.
        """
        async with self._database.write() as session:
            rule = await session.get(LimitRule, rule_id)
            if rule is None:
                raise not_found("limit rule", rule_id)
            await session.delete(rule)
        self._forget()
        return rule

    def _forget(self) -> None:
        self._read_at = -_FRESH_S

    async def _current(self) -> dict[tuple[str, str], dict[str, int | None]]:
        if time.monotonic() - self._read_at >= _FRESH_S:
            async with self._database.read() as session:
                rows = (await session.scalars(select(LimitRule))).all()
            self._rules = {(row.subject, row.subject_id): row.limits for row in rows}
            self._read_at = time.monotonic()
        return self._rules


def owner_of(principal: Principal) -> str:
    """Under which name somebody is counted; who has no account, by address."""
    return f"user:{principal.user_id}" if principal.user_id else f"address:{principal.address}"


def _windows(subject: str, limits: dict[str, int | None]) -> list[Window]:
    return [
        Window(subject, unit, period, amount)
        for unit in get_args(Unit)
        for period in get_args(Period)
        if (amount := limits.get(f"{unit}_per_{period}")) is not None
    ]
