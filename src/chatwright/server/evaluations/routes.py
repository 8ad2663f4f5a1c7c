"""Evaluations, for administrators."""

from typing import Annotated

import anyio
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from chatwright.server.errors import REFUSALS
from chatwright.server.evaluations.reports import EvaluationInfo, evaluations
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["administration"], responses=REFUSALS)


class Evaluations(BaseModel):
    """What was evaluated, the newest first."""

    folder: str = Field(description="where ``chatwright eval --out`` puts reports that are shown here")
    data: list[EvaluationInfo]


@router.get("/api/admin/evaluations")
async def list_evaluations(request: Request, _: Annotated[Principal, allow("admin", scope="admin")]) -> Evaluations:
    """Reports of ``chatwright eval`` in the folder ``evaluations`` of the server's home."""
    folder = services(request).settings.home.expanduser() / "evaluations"
    return Evaluations(folder=str(folder), data=await anyio.to_thread.run_sync(evaluations, folder))
