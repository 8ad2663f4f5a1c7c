"""``/v1/files``: OpenAI's Files API."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Query, UploadFile
from fastapi.responses import FileResponse

from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.fields import PathId, QueryId
from chatwright.server.files.files import Files
from chatwright.server.files.schemas import FileDeleted, FileList, FileObject, Purpose
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(prefix="/v1/files", tags=["files"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user", scope="files")]
_HOUR_S = 3600


def _files(all_services: Annotated[Services, Depends(services)]) -> Files:
    return all_services.files


TheFiles = Annotated[Files, Depends(_files)]
ExpirySeconds = Annotated[
    int | None, Form(alias="expires_after[seconds]", ge=_HOUR_S, le=720 * _HOUR_S, description="needs the anchor too")
]


@router.post("", response_model=FileObject)
async def create(
    principal: Caller,
    files: TheFiles,
    file: UploadFile,
    purpose: Annotated[Purpose, Form()],
    anchor: Annotated[Literal["created_at"] | None, Form(alias="expires_after[anchor]")] = None,
    seconds: ExpirySeconds = None,
) -> FileObject:
    """Upload a file."""
    if (anchor is None) != (seconds is None):
        raise ApiError(400, "expires_after needs both anchor and seconds", code="invalid_value", param="expires_after")
    row = await files.create(
        principal, file.file, filename=file.filename or "file", purpose=purpose, expires_after_s=seconds
    )
    return FileObject.of(row)


@router.get("", response_model=FileList)
async def list_files(
    principal: Caller,
    files: TheFiles,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    after: QueryId = None,
    order: Literal["asc", "desc"] = "desc",
    purpose: Purpose | Literal["fine-tune-results"] | None = None,
) -> FileList:
    """List files, the newest first unless asked otherwise."""
    rows, has_more = await files.listed(
        principal, limit=limit, after=after, newest_first=order == "desc", purpose=purpose
    )
    return FileList.of(rows, has_more=has_more)


@router.get("/{file_id}", response_model=FileObject)
async def retrieve(principal: Caller, files: TheFiles, file_id: PathId) -> FileObject:
    """One file, without its content."""
    return FileObject.of(await files.get(principal, file_id))


@router.get(
    "/{file_id}/content",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The bytes of the file."}},
)
async def content(principal: Caller, files: TheFiles, file_id: PathId) -> FileResponse:
    """The content of a file: to be saved, whatever a browser may think that it is."""
    row, path = await files.path(principal, file_id)
    return FileResponse(path, media_type="application/octet-stream", filename=row.filename)


@router.delete("/{file_id}", response_model=FileDeleted)
async def delete(principal: Caller, files: TheFiles, file_id: PathId) -> FileDeleted:
    """Delete a file. A fine-tuning job that was made from it goes on."""
    await files.delete(principal, file_id)
    return FileDeleted(id=file_id)
