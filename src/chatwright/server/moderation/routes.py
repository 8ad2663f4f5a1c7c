"""What moderation found, and the administrators' own words."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.server.database.tables import ModerationEntry, WordList
from chatwright.server.errors import REFUSALS
from chatwright.server.fields import STORABLE, Name, PageSize, PathId, QueryId
from chatwright.server.moderation.word_lists import Action
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["moderation"], responses=REFUSALS)

Admin = Annotated[Principal, allow("admin", scope="admin")]
CategoryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9/_-]{0,63}$")]
ListedWord = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), STORABLE]
ListedWords = Annotated[list[ListedWord], Field(min_length=1, max_length=20_000)]


class Entry(BaseModel):
    """Something that was flagged or blocked. ``excerpt`` is empty where administrators may not read chats."""

    id: str
    at_ms: int
    user_id: str | None
    direction: Literal["input", "output"]
    action: Action
    categories: dict[str, float]
    model: str
    excerpt: str
    reviewed_ms: int | None
    reviewed_by: str | None

    @classmethod
    def of(cls, row: ModerationEntry, *, shows_excerpt: bool) -> "Entry":
        """The row as it is shown."""
        entry = cls.model_validate(row, from_attributes=True)
        return entry if shows_excerpt else entry.model_copy(update={"excerpt": ""})


class Entries(BaseModel):
    """A page of entries, the newest first."""

    data: list[Entry]
    has_more: bool
    next: str | None


class ShownList(BaseModel):
    """A list of words. Matches are whatever case, width and spacing they are written in."""

    id: str
    name: str
    category: str
    action: Action
    words: list[str]
    enabled: bool
    changed_ms: int

    @classmethod
    def of(cls, row: WordList) -> "ShownList":
        """The row as it is shown."""
        return cls.model_validate(row, from_attributes=True)


class ShownLists(BaseModel):
    """A page of lists."""

    data: list[ShownList]
    has_more: bool
    next: str | None


class NewList(BaseModel):
    """A list to be looked for. ``block`` refuses its words unless moderation is off, ``flag`` follows the policy."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    category: CategoryName = "custom"
    action: Action = "flag"
    words: ListedWords
    enabled: bool = True


class ChangedList(BaseModel):
    """What is to be different; the rest stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    category: CategoryName = ""
    action: Action = "flag"
    words: ListedWords = []
    enabled: bool = True


@router.get("/api/admin/moderation")
async def list_entries(
    request: Request,
    _: Admin,
    limit: PageSize = 50,
    after: QueryId = None,
    action: Annotated[Action | None, Query(description="only what was flagged, or blocked")] = None,
    reviewed: Annotated[bool | None, Query(description="only what was reviewed, or was not")] = None,
    user_id: QueryId = None,
) -> Entries:
    """What moderation found."""
    moderator = services(request).moderator
    rows = await moderator.record.list(limit=limit + 1, after=after, action=action, reviewed=reviewed, user_id=user_id)
    shows = await moderator.may_show_excerpts()
    page = [Entry.of(row, shows_excerpt=shows) for row in rows[:limit]]
    more = len(rows) > limit
    return Entries(data=page, has_more=more, next=page[-1].id if more else None)


@router.post("/api/admin/moderation/{entry_id}/review")
async def review(request: Request, principal: Admin, entry_id: PathId) -> Entry:
    """Note that an entry has been seen."""
    moderator = services(request).moderator
    row = await moderator.record.review(principal, entry_id)
    return Entry.of(row, shows_excerpt=await moderator.may_show_excerpts())


@router.get("/api/admin/word-lists")
async def list_word_lists(request: Request, _: Admin, limit: PageSize = 50, after: QueryId = None) -> ShownLists:
    """The administrators' own words."""
    rows = await services(request).moderator.word_lists.list(limit=limit + 1, after=after)
    page = [ShownList.of(row) for row in rows[:limit]]
    more = len(rows) > limit
    return ShownLists(data=page, has_more=more, next=page[-1].id if more else None)


@router.post("/api/admin/word-lists", status_code=201)
async def create_word_list(request: Request, principal: Admin, body: NewList) -> ShownList:
    """Look for more words."""
    row = await services(request).moderator.word_lists.create(body.model_dump())
    await _audit(request, principal, "word_list.create", row)
    return ShownList.of(row)


@router.get("/api/admin/word-lists/{list_id}")
async def get_word_list(request: Request, _: Admin, list_id: PathId) -> ShownList:
    """One of the lists."""
    return ShownList.of(await services(request).moderator.word_lists.get(list_id))


@router.patch("/api/admin/word-lists/{list_id}")
async def change_word_list(request: Request, principal: Admin, list_id: PathId, body: ChangedList) -> ShownList:
    """Change a list."""
    row = await services(request).moderator.word_lists.change(list_id, body.model_dump(exclude_unset=True))
    await _audit(request, principal, "word_list.change", row)
    return ShownList.of(row)


@router.delete("/api/admin/word-lists/{list_id}", status_code=204)
async def delete_word_list(request: Request, principal: Admin, list_id: PathId) -> None:
    """Look for these words no longer."""
    row = await services(request).moderator.word_lists.delete(list_id)
    await _audit(request, principal, "word_list.delete", row)


async def _audit(request: Request, principal: Principal, action: str, row: WordList) -> None:
    detail: dict[str, Any] = {"name": row.name, "action": row.action, "enabled": row.enabled, "words": len(row.words)}
    await services(request).audit.record(principal, action, row.id, detail)
