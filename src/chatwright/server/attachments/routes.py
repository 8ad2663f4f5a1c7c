"""A file becomes text that goes with a question."""

from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Form, UploadFile
from pydantic import BaseModel, Field

from chatwright.chat import Message
from chatwright.server.attachments.reading import MAX_FILE_BYTES
from chatwright.server.backends.base import ChatRequest
from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.fields import Name
from chatwright.server.policy import allow
from chatwright.server.portability.conversation import one_line
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(tags=["conversations"], responses=REFUSALS)

Caller = Annotated[Principal, allow("user", scope="conversations")]
TheServices = Annotated[Services, Depends(services)]


class AttachmentView(BaseModel):
    """A file's text, to be sent as ``{"name", "text"}`` among the attachments of a message."""

    name: str
    text: str
    characters: int
    tokens: int = Field(description="of a question that is this text alone")
    context_length: int | None = Field(description="of that model; null where it does not say")
    model: str
    pages: int | None = Field(description="of a PDF")


@router.post("/api/attachments")
async def read_attachment(
    caller: Caller, all_services: TheServices, file: UploadFile, model: Annotated[Name | None, Form()] = None
) -> AttachmentView:
    """Read a file: text in any usual form, or PDF. What does not fit into the model's context is refused with both
    counts. Nothing is stored.
    """
    data = await anyio.to_thread.run_sync(file.file.read, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ApiError(
            413,
            caller.say("the file is larger than 32 MiB", "文件超过 32 MiB"),
            code="file_too_large",
            param="file",
        )
    found = await all_services.attachments.read(caller, data)
    asked = ChatRequest((Message("user", found.text),))
    served, tokens = await all_services.answering.count(caller, model, asked)
    limit = served.backend.context_length
    if limit is not None and tokens >= limit:
        raise ApiError(
            400,
            caller.say(
                f"the file has {tokens:,} tokens; the model {served.name} reads {limit:,} at most, with the question "
                "and the answer. Attach a part of it, or choose a model with a longer context.",
                f"文件有 {tokens:,} 个词元，而模型 {served.name} 的上下文（含问题与回答）最多 {limit:,} 个。"
                "请只添加其中一部分，或选择上下文更长的模型。",
            ),
            code="context_length_exceeded",
            param="file",
        )
    return AttachmentView(
        name=one_line(file.filename) or "file",
        text=found.text,
        characters=len(found.text),
        tokens=tokens,
        context_length=limit,
        model=served.name,
        pages=found.pages,
    )
