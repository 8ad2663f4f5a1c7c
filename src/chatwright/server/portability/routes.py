"""Conversations in and out: downloads, and imports with their reports."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Depends, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from chatwright.server.database.tables import ImportJob
from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.fields import PathId
from chatwright.server.policy import allow
from chatwright.server.portability import exporter
from chatwright.server.portability.conversation import one_line
from chatwright.server.portability.forms import FORMS, FormName
from chatwright.server.portability.importer import Importer
from chatwright.server.portability.report import REASONS
from chatwright.server.portability.store import load, load_all
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(tags=["import and export"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user", scope="conversations")]
TheServices = Annotated[Services, Depends(services)]
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A file to be saved.",
        "content": {"application/json": {"schema": {}}}  # a list or an object, by the form
        | {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in ("text/markdown", "application/jsonl", "application/zip")
        },
    }
}


class SkippedView(BaseModel):
    """What was left out of an import."""

    reason: str
    count: int
    message: str


class ImportView(BaseModel):
    """An import, while it goes on and afterwards. ``error`` says why it failed; what came before it is imported.

    ``conversations`` are new; ``grown`` were imported before and got further messages, which ``messages`` counts, too.
    """

    id: str
    filename: str
    status: Literal["running", "complete", "failed", "cancelled"]
    read_bytes: int
    total_bytes: int
    conversations: int
    grown: int
    messages: int
    skipped: list[SkippedView]
    error: str
    created_ms: int
    updated_ms: int

    @classmethod
    def of(cls, row: ImportJob, principal: Principal) -> "ImportView":
        """From the table, in the person's language."""
        skipped = [
            SkippedView(reason=reason, count=count, message=principal.say(*REASONS[reason]))
            for reason, count in row.skipped.items()
            if reason in REASONS
        ]
        fields = {name: getattr(row, name) for name in cls.model_fields if name != "skipped"}
        return cls(**fields, skipped=skipped)


class ImportList(BaseModel):
    """The newest imports."""

    data: list[ImportView]

    @classmethod
    def of(cls, rows: Sequence[ImportJob], principal: Principal) -> "ImportList":
        """From the table."""
        return cls(data=[ImportView.of(row, principal) for row in rows])


def _importer(all_services: TheServices) -> Importer:
    return all_services.importer


TheImporter = Annotated[Importer, Depends(_importer)]


@router.get("/api/conversations/{conversation_id}/export", response_class=Response, responses=_FILES)
async def export_one(
    principal: Caller, all_services: TheServices, conversation_id: PathId, format: FormName = "markdown"
) -> Response:
    """One conversation as a file. Markdown and the lines hold the branch that is shown, JSON all branches."""
    form = FORMS[format]
    async with all_services.database.read() as session:
        conversation = await load(session, principal.user_id, conversation_id)
    name = exporter.file_name(conversation.title) or "conversation"
    data = await exporter.one(conversation, form, principal.language)
    return Response(data, media_type=form.media_type, headers=exporter.disposition(f"{name}.{form.suffix}"))


@router.get("/api/export", response_class=StreamingResponse, responses=_FILES)
async def export_all(principal: Caller, all_services: TheServices, format: FormName = "json") -> StreamingResponse:
    """All conversations of the caller as a file; Markdown as a ZIP with a file for each."""
    form = FORMS[format]
    pieces = exporter.many(load_all(all_services.database, principal.user_id), form, principal.language)
    is_zip = form.many == "zip"
    return StreamingResponse(
        pieces,
        media_type="application/zip" if is_zip else form.media_type,
        headers=exporter.disposition(f"conversations.{'zip' if is_zip else form.suffix}"),
    )


@router.post("/api/imports", status_code=202, response_model=ImportView)
async def begin_import(
    request: Request, principal: Caller, all_services: TheServices, importer: TheImporter, file: UploadFile
) -> ImportView:
    """Import conversations: ChatGPT's export (``conversations.json`` or the ZIP), our own JSON, lines of messages.

    It goes on in the background; ask for it by its id. What was imported before is not imported twice.
    """
    if file.size is not None and file.size > all_services.settings.max_file_bytes:
        raise ApiError(413, principal.say("the file is too large", "文件过大"), code="file_too_large", param="file")
    job_id, path = importer.new_path()
    try:
        await anyio.to_thread.run_sync(_save, file.file, path)
        job = await importer.begin(principal, job_id, one_line(file.filename) or "file")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return ImportView.of(job, principal)


@router.get("/api/imports", response_model=ImportList)
async def imports(principal: Caller, importer: TheImporter) -> ImportList:
    """The caller's last imports, the newest first."""
    return ImportList.of(await importer.jobs(principal.user_id), principal)


@router.get("/api/imports/{import_id}", response_model=ImportView)
async def import_state(principal: Caller, importer: TheImporter, import_id: PathId) -> ImportView:
    """How far an import is, and what it left out."""
    return ImportView.of(await importer.job(principal.user_id, import_id), principal)


@router.delete("/api/imports/{import_id}", response_model=ImportView)
async def cancel_import(principal: Caller, importer: TheImporter, import_id: PathId) -> ImportView:
    """Stop an import; what it has imported stays."""
    return ImportView.of(await importer.cancel(principal.user_id, import_id), principal)


def _save(source: IO[bytes], path: Path) -> None:
    with path.open("xb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
