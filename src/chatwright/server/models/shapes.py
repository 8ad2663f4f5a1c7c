"""What routes about models take and give."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.server.database.tables import ServedModel, Upstream
from chatwright.server.fields import STORABLE, Identifier, Name, ServedName
from chatwright.server.models.pool import ModelState

Source = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000), STORABLE]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[\x21-\x7e]+$")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Model(BaseModel):
    """A model in OpenAI's form, with what vLLM adds to it."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="seconds since 1970")
    owned_by: str
    parent: str | None = None
    max_model_len: int | None = None

    @classmethod
    def of(cls, row: ServedModel) -> Self:
        """An entry as everybody sees it."""
        return cls(
            id=row.name,
            created=row.created_ms // 1000,
            owned_by="user" if row.owner_id is not None else "chatwright",
            parent=row.parent,
            max_model_len=row.options.get("max_model_len") or row.options.get("context_length"),
        )


class Models(BaseModel):
    """Models in OpenAI's form."""

    object: Literal["list"] = "list"
    data: list[Model]


class Deleted(BaseModel):
    """A model that was deleted, in OpenAI's form."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class Options(_Request):
    """How a model is opened; what is absent is as the server's settings say."""

    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$")] | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    max_model_len: int | None = Field(default=None, ge=2, le=100_000_000)
    context_length: int | None = Field(
        default=None, ge=2, le=100_000_000, description="of a model on another server, which does not say it"
    )

    def given(self) -> dict[str, Any]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)


class NewModel(_Request):
    """A model to be served."""

    name: ServedName
    kind: Literal["local", "upstream"] = "local"
    source: Source = Field(description="folder, .gguf file or name on this machine; the model's name on an upstream")
    upstream_id: Identifier | None = None
    options: Options = Options()


class ModelChanges(_Request):
    """What to change of a model."""

    enabled: bool | None = None
    options: Options | None = None


class ModelInfo(BaseModel):
    """A model as administrators see it."""

    name: str
    kind: str
    source: str
    upstream_id: str | None
    owner_id: str | None
    parent: str | None
    enabled: bool
    options: dict[str, Any]
    created_ms: int
    state: Literal["ready", "loading", "unloaded", "failed"]
    detail: str
    memory_bytes: int
    context_length: int | None
    is_default: bool
    is_fixed: bool = Field(description="named by the server's settings: neither changed nor removed here")

    @classmethod
    def of(cls, state: ModelState) -> Self:
        """A state as it is shown."""
        row = state.row
        return cls(
            name=row.name,
            kind=row.kind,
            source=row.source,
            upstream_id=row.upstream_id,
            owner_id=row.owner_id,
            parent=row.parent,
            enabled=row.enabled,
            options=row.options,
            created_ms=row.created_ms,
            state=state.health.state,
            detail=state.health.detail,
            memory_bytes=state.memory_bytes,
            context_length=state.context_length,
            is_default=state.is_default,
            is_fixed=state.is_fixed,
        )


class PromotionInfo(BaseModel):
    """A model became the one that answers where none is named."""

    model: str
    at_ms: int
    actor_name: str
    is_served: bool = Field(description="false: it was removed, and cannot be put back")


class NewUpstream(_Request):
    """Another server whose models are to be served."""

    name: Name
    base_url: Source = Field(description="up to and with /v1")
    api_key: Secret | None = None
    enabled: bool = True
    allow_private: bool = Field(default=False, description="its address may be this machine's or a private network's")
    read_seconds: float = Field(default=300.0, ge=1, le=3600, description="how long it may be silent")


class UpstreamChanges(_Request):
    """What to change of an upstream; what is absent stays."""

    name: Name | None = None
    base_url: Source | None = None
    api_key: Secret | None = Field(default=None, description="null removes it")
    enabled: bool | None = None
    allow_private: bool | None = None
    read_seconds: float | None = Field(default=None, ge=1, le=3600)


class UpstreamInfo(BaseModel):
    """An upstream as administrators see it; its key is never shown."""

    id: str
    name: str
    base_url: str
    has_key: bool
    enabled: bool
    allow_private: bool
    read_seconds: float
    created_ms: int

    @classmethod
    def of(cls, row: Upstream) -> Self:
        """A row as it is shown."""
        return cls(
            id=row.id,
            name=row.name,
            base_url=row.base_url,
            has_key=row.api_key is not None,
            enabled=row.enabled,
            allow_private=row.options.get("allow_private") is True,
            read_seconds=row.options.get("read_seconds", 300.0),
            created_ms=row.created_ms,
        )


class UpstreamCheck(BaseModel):
    """Whether an upstream can be reached, and which models it has."""

    state: Literal["ready", "failed"]
    detail: str
    models: list[str]
