"""Files and uploads in OpenAI's form."""

from typing import Annotated, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.server.database.tables import StoredFile, Upload, UploadPart
from chatwright.server.fields import STORABLE, Identifier
from chatwright.server.files.repository import PENDING
from chatwright.server.identifiers import now_ms

Purpose = Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=255), STORABLE]
UploadStatus = Literal["pending", "completed", "cancelled", "expired"]
_HOUR_S, _DAY_S = 3600, 86_400


class FileObject(BaseModel):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="Unix time in seconds")
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None

    @classmethod
    def of(cls, row: StoredFile) -> Self:
        """The file in a row."""
        return cls(
            id=row.id,
            bytes=row.size_bytes,
            created_at=row.created_ms // 1000,
            expires_at=None if row.expires_ms is None else row.expires_ms // 1000,
            filename=row.filename,
            purpose=row.purpose,
        )


class FileList(BaseModel):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, rows: list[StoredFile], *, has_more: bool) -> Self:
        """A page of rows."""
        data = [FileObject.of(row) for row in rows]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, first_id=first, last_id=last, has_more=has_more)


class FileDeleted(BaseModel):
    """A file that is no more."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class ExpiresAfter(BaseModel):
    """When a file is deleted by itself."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=_HOUR_S, le=30 * _DAY_S)


class NewUpload(BaseModel):
    """A file that is going to arrive in parts."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(strict=True, ge=1, lt=2**53, description="size of the whole file")
    filename: FileName
    mime_type: Annotated[str, StringConstraints(max_length=255), STORABLE]
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class CompleteUpload(BaseModel):
    """The parts of a file, in their order."""

    model_config = ConfigDict(extra="forbid")

    part_ids: list[Identifier] = Field(min_length=1, max_length=10_000)
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{32}$")] | None = None


class UploadObject(BaseModel):
    """An upload."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: UploadStatus
    file: FileObject | None

    @classmethod
    def of(cls, row: Upload, file: StoredFile | None = None) -> Self:
        """The upload in a row, with the file that came of it."""
        late = row.status == PENDING and row.expires_ms <= now_ms()
        return cls(
            id=row.id,
            bytes=row.size_bytes,
            created_at=row.created_ms // 1000,
            expires_at=row.expires_ms // 1000,
            filename=row.filename,
            purpose=row.purpose,
            status="expired" if late else cast(UploadStatus, row.status),
            file=None if file is None else FileObject.of(file),
        )


class PartObject(BaseModel):
    """A part that has arrived."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str

    @classmethod
    def of(cls, row: UploadPart) -> Self:
        """The part in a row."""
        return cls(id=row.id, created_at=row.created_ms // 1000, upload_id=row.upload_id)
