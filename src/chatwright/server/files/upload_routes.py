"""``/v1/uploads``: OpenAI's Uploads API."""

from typing import Annotated

from fastapi import APIRouter, Depends, UploadFile

from chatwright.server.errors import REFUSALS
from chatwright.server.fields import PathId
from chatwright.server.files.schemas import CompleteUpload, NewUpload, PartObject, UploadObject
from chatwright.server.files.uploads import Uploads
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user", scope="files")]


def _uploads(all_services: Annotated[Services, Depends(services)]) -> Uploads:
    return all_services.uploads


TheUploads = Annotated[Uploads, Depends(_uploads)]


@router.post("", response_model=UploadObject)
async def create(principal: Caller, uploads: TheUploads, body: NewUpload) -> UploadObject:
    """Begin an upload, which waits an hour for its parts."""
    return UploadObject.of(await uploads.create(principal, body))


@router.post("/{upload_id}/parts", response_model=PartObject)
async def add_part(principal: Caller, uploads: TheUploads, upload_id: PathId, data: UploadFile) -> PartObject:
    """Send a part of at most 64 MiB; parts may come in any order and at once."""
    return PartObject.of(await uploads.add_part(principal, upload_id, data.file, data.size or 0))


@router.post("/{upload_id}/complete", response_model=UploadObject)
async def complete(principal: Caller, uploads: TheUploads, upload_id: PathId, body: CompleteUpload) -> UploadObject:
    """Make a file of the parts, in the order given."""
    return UploadObject.of(*await uploads.complete(principal, upload_id, body.part_ids, body.md5))


@router.post("/{upload_id}/cancel", response_model=UploadObject)
async def cancel(principal: Caller, uploads: TheUploads, upload_id: PathId) -> UploadObject:
    """Give an upload up."""
    return UploadObject.of(await uploads.cancel(principal, upload_id))
