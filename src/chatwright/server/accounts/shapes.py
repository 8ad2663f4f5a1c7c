"""What routes about accounts take and give."""

import json
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from chatwright.server.accounts.passwords import MAX_LENGTH as LONGEST_PASSWORD
from chatwright.server.database.tables import ApiKey, AuditEntry, Invitation, Session, User
from chatwright.server.fields import STORABLE, Name
from chatwright.server.principal import Channel, Language, Principal, Role

_MAX_PREFERENCES: Final = 16_384

Scope = Literal["inference", "files", "fine_tuning", "conversations", "admin"]
AccountRole = Literal["user", "admin"]
# How long names and passwords may be is said in words by the services; these bounds only keep the absurd out.
TypedName = Annotated[str, StringConstraints(max_length=200), STORABLE]
TypedPassword = Annotated[str, StringConstraints(max_length=LONGEST_PASSWORD)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=200), STORABLE]
Scopes = Annotated[set[Scope], Field(min_length=1)]
Days = Annotated[int, Field(ge=1, le=3650)]

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Part of a list. ``next`` is what to send as ``after`` for the rest; null at the end."""

    data: list[T]
    has_more: bool
    next: str | None

    @classmethod
    def of(cls, items: list[T], ids: list[str], limit: int) -> Self:
        """A page of at most ``limit`` of the items; one more of them shows that there is a rest."""
        has_more = len(items) > limit
        return cls(data=items[:limit], has_more=has_more, next=ids[limit - 1] if has_more else None)


class _Row(BaseModel):
    @classmethod
    def of(cls, row: Any) -> Self:
        """A row of the database as it is shown."""
        return cls.model_validate(row, from_attributes=True)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Setup(BaseModel):
    """What a page needs to know before anybody has signed in."""

    version: str
    accounts: bool = Field(description="whether people need an account")
    first_account: bool = Field(description="whether there is an account; the first to sign up administers the server")
    sign_up: Literal["closed", "open", "invitation"]
    oidc: bool = Field(description="whether one can sign in with an identity provider")


class NewAccount(_Request):
    """Somebody who wants an account."""

    name: TypedName
    password: TypedPassword
    invitation: Code | None = None


class Credentials(_Request):
    """Somebody who has an account."""

    name: TypedName
    password: TypedPassword


class Me(BaseModel):
    """The caller's own account."""

    id: str
    name: str
    email: str | None
    role: Role
    language: Language | None = Field(description="null: as the browser says")
    training_consent: bool = Field(description="whether ratings may be used to train models")
    preferences: dict[str, JsonValue]
    created_ms: int
    channel: Channel
    scopes: list[str]
    has_password: bool

    @classmethod
    def of(cls, user: User, principal: Principal) -> Self:
        """An account as its owner sees it."""
        return cls(
            id=user.id,
            name=user.name,
            email=user.email,
            role=principal.role,
            language="zh" if user.language == "zh" else "en" if user.language == "en" else None,
            training_consent=user.training_consent,
            preferences=user.preferences,
            created_ms=user.created_ms,
            channel=principal.channel,
            scopes=sorted(principal.scopes),
            has_password=user.password_hash is not None,
        )


def _small(preferences: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Preferences that both databases can keep: no NaN, no lone surrogates, no NUL, and not endless."""
    text = json.dumps(preferences, ensure_ascii=False, allow_nan=False)
    if len(text.encode("utf-8")) > _MAX_PREFERENCES:
        raise ValueError(f"preferences take at most {_MAX_PREFERENCES} bytes as JSON")
    if "\\u0000" in text:
        raise ValueError("the text has a NUL character; leave it out")
    return preferences


class MeChanges(_Request):
    """What is to be different; what is left out stays. ``language`` null: as the browser says."""

    name: TypedName | None = None
    language: Language | None = None
    training_consent: bool | None = None
    preferences: Annotated[dict[str, JsonValue], AfterValidator(_small)] | None = None


class PasswordChange(_Request):
    """Another password; the current one proves who asks, or where there is none, having signed in just now."""

    current_password: TypedPassword | None = None
    new_password: TypedPassword


class IdentityInfo(_Row):
    """A name at an identity provider by which the caller can sign in."""

    id: str
    issuer: str = Field(description="address of the provider")
    subject: str = Field(description="whom the provider calls the caller")


class SessionInfo(_Row):
    """A browser in which the caller is signed in."""

    id: str
    user_agent: str
    address: str
    created_ms: int
    used_ms: int
    expires_ms: int
    current: bool = False

    @classmethod
    def shown(cls, row: Session, principal: Principal) -> Self:
        """The session, marked where it is the one that asks."""
        return cls.of(row).model_copy(update={"current": row.id == principal.session_id})


class KeyInfo(_Row):
    """An API key, without the key."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_ms: int
    used_ms: int | None
    expires_ms: int | None


class CreatedKey(KeyInfo):
    """An API key that was just made. The key is never shown again."""

    key: str

    @classmethod
    def shown(cls, row: ApiKey, key: str) -> Self:
        """The row and the key."""
        return cls(**KeyInfo.of(row).model_dump(), key=key)


class NewKeyRequest(_Request):
    """A key that is to be made."""

    name: Name
    scopes: Scopes = {"inference"}
    expires_in_days: Days | None = None


class KeyChanges(_Request):
    """What is to be different about a key; what is left out stays."""

    name: Name | None = None
    scopes: Scopes | None = None


class UserInfo(_Row):
    """An account as administrators see it."""

    id: str
    name: str
    email: str | None
    role: AccountRole
    disabled: bool
    created_ms: int
    seen_ms: int | None


class NewUser(_Request):
    """An account that an administrator makes; without a password nobody can sign in until one is set."""

    name: TypedName
    password: TypedPassword | None = None
    role: AccountRole = "user"


class UserChanges(_Request):
    """What is to be different about an account; what is left out stays."""

    name: TypedName | None = None
    role: AccountRole | None = None
    disabled: bool | None = None
    password: TypedPassword | None = None


class InvitationInfo(_Row):
    """An invitation, without its code."""

    id: str
    note: str
    role: AccountRole
    created_by: str
    created_ms: int
    expires_ms: int
    max_uses: int
    uses: int


class CreatedInvitation(InvitationInfo):
    """An invitation that was just made. The code is never shown again."""

    code: str

    @classmethod
    def shown(cls, row: Invitation, code: str) -> Self:
        """The row and the code."""
        return cls(**InvitationInfo.of(row).model_dump(), code=code)


class NewInvitationRequest(_Request):
    """An invitation that is to be made."""

    note: Annotated[str, StringConstraints(max_length=200), STORABLE] = ""
    role: AccountRole = "user"
    expires_in_days: Days = 7
    max_uses: int = Field(default=1, ge=1, le=10_000)


class AuditInfo(_Row):
    """Something that was done."""

    id: str
    at_ms: int
    actor_id: str | None
    actor_name: str
    action: str
    target: str
    detail: dict[str, Any]
    address: str

    @classmethod
    def shown(cls, row: AuditEntry) -> Self:
        """The entry as it is shown."""
        return cls.of(row)
