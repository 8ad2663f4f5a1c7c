"""What people used, and what administrators allow them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from chatwright.server.database.tables import LimitRule
from chatwright.server.errors import REFUSALS
from chatwright.server.fields import Name, PageSize, PathId, QueryId
from chatwright.server.identifiers import now_ms
from chatwright.server.limits.rules import RuleLimits, Subject
from chatwright.server.limits.usage import DAY_MS, Grouping, UsageRow
from chatwright.server.limits.windows import Period, Unit, WindowState
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services
from chatwright.server.settings import Limits

router = APIRouter(tags=["limits"], responses=REFUSALS)

_MAX_ROWS = 1000

Days = Annotated[int, Query(ge=1, le=366, description="how far back")]
Offset = Annotated[int, Query(ge=-840, le=840, description="minutes by which the reader's days are ahead of UTC")]
By = Annotated[list[Grouping], Query(max_length=4, description="what has sums of its own")]


class UsageSum(BaseModel):
    """A sum; what it is not grouped by is null. ``start_ms`` is the begin of the day or hour."""

    start_ms: int | None
    user_id: str | None
    user_name: str | None
    model: str | None
    requests: int
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, row: UsageRow) -> "UsageSum":
        """The row as it is shown."""
        return cls.model_validate(row, from_attributes=True)


class LimitState(BaseModel):
    """How much of a limit is left. ``subject``: "user", "key", or "model" for what a user may take of one model."""

    subject: Subject
    unit: Unit
    period: Period
    limit: int
    remaining: int
    reset_ms: int = Field(description="from now until some of it is available again; 0 when all is")


class MyUsage(BaseModel):
    """What the caller used, and what is left. ``has_more``: there were more sums than are shown."""

    data: list[UsageSum]
    has_more: bool
    limits: list[LimitState]
    concurrent_generations: int | None


class AllUsage(BaseModel):
    """What everybody used. ``has_more``: there were more sums than are shown; ask for fewer days."""

    data: list[UsageSum]
    has_more: bool


class Rule(BaseModel):
    """What a user, a key or a model is allowed, where it differs from the defaults."""

    id: str
    subject: Subject
    subject_id: str
    limits: dict[str, int | None]
    changed_ms: int

    @classmethod
    def of(cls, row: LimitRule) -> "Rule":
        """The row as it is shown."""
        return cls.model_validate(row, from_attributes=True)


class Rules(BaseModel):
    """A page of rules, and the defaults that they change."""

    data: list[Rule]
    has_more: bool
    next: str | None
    defaults: Limits


class NewRule(BaseModel):
    """For whom, and how much."""

    model_config = ConfigDict(extra="forbid")

    subject: Subject
    subject_id: Name
    limits: RuleLimits


class ChangedRule(BaseModel):
    """How much from now on; takes the place of all that the rule said."""

    model_config = ConfigDict(extra="forbid")

    limits: RuleLimits


@router.get("/api/me/usage")
async def my_usage(
    request: Request,
    principal: Annotated[Principal, allow("user", scope="inference")],
    by: By = ["day"],  # noqa: B006  FastAPI copies it
    days: Days = 30,
    utc_offset_minutes: Offset = 0,
    model: Annotated[str | None, Query(max_length=255, description="whose limits are shown too")] = None,
) -> MyUsage:
    """What the caller used, and how much is left."""
    limiter = services(request).limiter
    rows = await _sums(request, by, days, utc_offset_minutes, user_id=principal.user_id)
    allowance = await limiter.rules.allowance(principal, model or "")
    return MyUsage(
        data=rows[:_MAX_ROWS],
        has_more=len(rows) > _MAX_ROWS,
        limits=[_limit_state(state) for state in await limiter.states(principal, model or "")],
        concurrent_generations=min(allowance.slots.values(), default=None),
    )


@router.get("/api/admin/usage")
async def all_usage(
    request: Request,
    _: Annotated[Principal, allow("admin", scope="admin")],
    by: By = ["day", "user", "model"],  # noqa: B006
    days: Days = 30,
    utc_offset_minutes: Offset = 0,
    user_id: QueryId = None,
) -> AllUsage:
    """What everybody used."""
    rows = await _sums(request, by, days, utc_offset_minutes, user_id=user_id)
    return AllUsage(data=rows[:_MAX_ROWS], has_more=len(rows) > _MAX_ROWS)


@router.get("/api/admin/limits")
async def list_rules(
    request: Request,
    _: Annotated[Principal, allow("admin", scope="admin")],
    limit: PageSize = 50,
    after: QueryId = None,
) -> Rules:
    """The rules of administrators."""
    limiter = services(request).limiter
    rows = await limiter.rules.list(limit=limit + 1, after=after)
    page = [Rule.of(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Rules(
        data=page, has_more=more, next=page[-1].id if more else None, defaults=services(request).settings.limits
    )


@router.post("/api/admin/limits", status_code=201)
async def create_rule(
    request: Request, principal: Annotated[Principal, allow("admin", scope="admin")], body: NewRule
) -> Rule:
    """Allow a user, a key or a model more or less than the defaults."""
    row = await services(request).limiter.rules.create(body.subject, body.subject_id, body.limits)
    await _audit(request, principal, "limits.create", row)
    return Rule.of(row)


@router.patch("/api/admin/limits/{rule_id}")
async def change_rule(
    request: Request, principal: Annotated[Principal, allow("admin", scope="admin")], rule_id: PathId, body: ChangedRule
) -> Rule:
    """Change how much a rule allows."""
    row = await services(request).limiter.rules.change(rule_id, body.limits)
    await _audit(request, principal, "limits.change", row)
    return Rule.of(row)


@router.delete("/api/admin/limits/{rule_id}", status_code=204)
async def delete_rule(
    request: Request, principal: Annotated[Principal, allow("admin", scope="admin")], rule_id: PathId
) -> None:
    """Go back to the defaults."""
    row = await services(request).limiter.rules.delete(rule_id)
    await _audit(request, principal, "limits.delete", row)


async def _sums(
    request: Request, by: list[Grouping], days: int, utc_offset_minutes: int, *, user_id: str | None
) -> list[UsageSum]:
    now = now_ms()
    rows = await services(request).limiter.usage.summary(
        by,
        from_ms=now - days * DAY_MS,
        to_ms=now + 1,
        utc_offset_minutes=utc_offset_minutes,
        user_id=user_id,
        limit=_MAX_ROWS + 1,
    )
    return [UsageSum.of(row) for row in rows]


def _limit_state(state: WindowState) -> LimitState:
    window = state.window
    subject: Subject = "model" if "/" in window.subject else "key" if window.subject.startswith("key:") else "user"
    return LimitState(
        subject=subject,
        unit=window.unit,
        period=window.period,
        limit=window.amount,
        remaining=state.remaining,
        reset_ms=round(state.reset_s * 1000),
    )


async def _audit(request: Request, principal: Principal, action: str, row: LimitRule) -> None:
    detail: dict[str, Any] = {"limits": row.limits}
    await services(request).audit.record(principal, action, f"{row.subject}:{row.subject_id}", detail)
