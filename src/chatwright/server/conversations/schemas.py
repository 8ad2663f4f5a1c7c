"""What the routes of conversations take and answer."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from chatwright.server.database.tables import Conversation, Folder, MessageRow, Share
from chatwright.server.errors import ErrorDetail
from chatwright.server.fields import NOT_BLANK, STORABLE, Identifier, Name

MAX_CONTENT_CHARS = 500_000
MAX_ATTACHMENTS = 10

Item = TypeVar("Item")
Content = Annotated[str, Field(min_length=1, max_length=MAX_CONTENT_CHARS), STORABLE, NOT_BLANK]
Prompt = Annotated[str, Field(max_length=100_000), STORABLE]
Role = Literal["system", "user", "assistant", "tool"]
Origin = Literal["typed", "generated", "edited", "imported"]
Status = Literal["complete", "generating", "stopped", "interrupted", "failed", "withheld"]


class Request(BaseModel):
    """A body in which an unknown key is a mistake that is told."""

    model_config = ConfigDict(extra="forbid")


class Sampling(Request):
    """How the model chooses its words; what is absent is the advice of the model's makers."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=1_000_000)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, ge=0.01, le=10)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    seed: int | None = Field(default=None, ge=0, lt=1 << 53)  # what JavaScript counts exactly
    stop: list[Annotated[str, Field(min_length=1, max_length=512), STORABLE]] | None = Field(default=None, max_length=4)
    thinking: bool | None = Field(default=None, description="for models that can think before they answer")

    def given(self) -> dict[str, Any]:
        """Only what was set."""
        return self.model_dump(exclude_none=True)


class Attachment(Request):
    """The text of a file that goes with a question."""

    name: Name
    text: Annotated[str, Field(max_length=MAX_CONTENT_CHARS), STORABLE]


class NewConversation(Request):
    """A conversation to be made; all of it may be left to later."""

    title: Name | None = None
    folder_id: Identifier | None = None
    model: Name | None = None
    system_prompt: Prompt = ""
    sampling: Sampling = Field(default_factory=Sampling)


class ConversationChanges(Request):
    """What is to change; what is absent stays. ``null`` takes a folder or a model away."""

    title: Name = ""
    folder_id: Identifier | None = None
    pinned: bool = False
    archived: bool = False
    model: Name | None = None
    system_prompt: Prompt = ""
    sampling: Sampling = Field(default_factory=Sampling)
    current_id: Identifier = Field(default="", description="the leaf of the branch that is shown")


class NewMessage(Request):
    """A question. ``parent_id``: absent asks at the end of the branch that is shown, null begins another branch."""

    content: Content
    parent_id: Identifier | None = None
    attachments: list[Attachment] = Field(default_factory=list, max_length=MAX_ATTACHMENTS)
    model: Name | None = Field(default=None, description="for this answer; the conversation's otherwise")
    sampling: Sampling = Field(default_factory=Sampling)


class Comparison(NewMessage):
    """A question that is answered twice."""

    models: tuple[Name, Name] | None = Field(default=None, description="one for each answer; the same otherwise")


class Again(Request):
    """Another answer to the same question."""

    model: Name | None = None
    sampling: Sampling = Field(default_factory=Sampling)


class Edit(Request):
    """A question or an answer as it should have been."""

    content: Content
    model: Name | None = None
    sampling: Sampling = Field(default_factory=Sampling)


class FolderBody(Request):
    """A folder to be made."""

    name: Name
    position: int = Field(default=0, ge=0, le=1_000_000)


class FolderChanges(Request):
    """What is to change of a folder."""

    name: Name = ""
    position: int = Field(default=0, ge=0, le=1_000_000)


class ShareBody(Request):
    """What is to be shared: the branch that ends in ``leaf_id``, or the one that is shown."""

    leaf_id: Identifier | None = None


class TemporaryMessage(Request):
    """A message of a chat that is stored nowhere."""

    role: Literal["user", "assistant"]
    content: Content


class TemporaryQuestion(Request):
    """A chat that is stored nowhere, to be answered."""

    messages: list[TemporaryMessage] = Field(min_length=1, max_length=2_000)
    model: Name | None = None
    system_prompt: Prompt = ""
    sampling: Sampling = Field(default_factory=Sampling)


class ConversationView(BaseModel):
    """A conversation, without its messages."""

    id: str
    title: str
    title_by: Literal["none", "model", "person", "import"]
    folder_id: str | None
    pinned: bool
    archived: bool
    model: str | None
    system_prompt: str
    sampling: dict[str, JsonValue]
    current_id: str | None
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, row: Conversation) -> "ConversationView":
        """From the table."""
        return cls.model_validate(row, from_attributes=True)


class ListedConversation(ConversationView):
    """A conversation in the list. ``group``: see :func:`~chatwright.server.conversations.grouping.group_of`."""

    group: str


class AttachedFile(BaseModel):
    """A file that went with a question."""

    name: str
    characters: int
    text: str | None = Field(default=None, description="only where a single message is asked for")


class MessageView(BaseModel):
    """A message."""

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    origin: Origin
    status: Status
    content: str
    reasoning: str
    model: str | None
    model_version: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    dropped_turns: int
    sampling: dict[str, JsonValue]
    attachments: list[AttachedFile]
    error: ErrorDetail | None
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, row: MessageRow, *, whole: bool = False) -> "MessageView":
        """From the table; ``whole`` with the text of what is attached."""
        fields = {name: getattr(row, name) for name in cls.model_fields}
        fields["attachments"] = [
            {"name": file["name"], "characters": len(file["text"]), "text": file["text"] if whole else None}
            for file in row.attachments
        ]
        return cls.model_validate(fields)


class Turn(BaseModel):
    """What a question brought about: itself, where it is new, and the answers that are being written."""

    user_message: MessageView | None
    messages: list[MessageView]


class FolderView(BaseModel):
    """A folder."""

    id: str
    name: str
    position: int
    created_ms: int

    @classmethod
    def of(cls, row: Folder) -> "FolderView":
        """From the table."""
        return cls.model_validate(row, from_attributes=True)


class ShareView(BaseModel):
    """A link, for whoever made it."""

    id: str
    conversation_id: str
    leaf_id: str
    title: str
    path: str = Field(description="of the page that shows it")
    created_ms: int

    @classmethod
    def of(cls, row: Share) -> "ShareView":
        """From the table."""
        return cls(
            id=row.id,
            conversation_id=row.conversation_id,
            leaf_id=row.leaf_id,
            title=row.title,
            path=f"/share/{row.id}",
            created_ms=row.created_ms,
        )


class SharedMessage(BaseModel):
    """A message as strangers read it."""

    role: Literal["user", "assistant"]
    content: str
    model: str | None


class SharedView(BaseModel):
    """A shared conversation as strangers read it: nothing says whose it is."""

    id: str
    title: str
    created_ms: int
    messages: list[SharedMessage]


class SearchHit(BaseModel):
    """A message, or a conversation's title, in which the words stand.

    ``highlights`` are the places in ``snippet``: pairs of start and end, in characters.
    """

    conversation_id: str
    title: str
    message_id: str | None = Field(description="null: the words stand in the title")
    role: Role | None
    snippet: str
    highlights: list[tuple[int, int]]
    created_ms: int


class ContextView(BaseModel):
    """How full the model's context is with a branch."""

    model: str
    prompt_tokens: int = Field(description="of the whole branch, as the model would read it")
    context_length: int | None = Field(description="null where the model does not say")
    dropped_turns: int = Field(description="oldest turns that the last answer was written without")


class Page(BaseModel, Generic[Item]):
    """A part of a list, and what to ask for to get the next."""

    data: list[Item]
    has_more: bool
    next: str | None = Field(default=None, description="for ?after=")


class NumDeleted(BaseModel):
    """How many were deleted."""

    deleted: int
