"""Whether a text was written by a model of this server, as far as its watermark tells."""

from functools import partial
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chatwright.server.errors import REFUSALS, ApiError
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["watermark"], responses=REFUSALS)


class Suspect(BaseModel):
    """A text to look at."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=200_000)]
    model: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="that may have written it; the default where none is named"
    )


class Finding(BaseModel):
    """What the watermark tells. A small p-value speaks for the mark; a large one proves nothing."""

    object: Literal["watermark.detection"] = "watermark.detection"
    model: str
    tokens: int = Field(description="pairs of neighbouring tokens that were looked at")
    green: int = Field(description="how many of them carry the mark")
    z: float = Field(description="standard deviations above chance")
    p_value: float = Field(description="how likely that is without the mark")


@router.post("/v1/watermark/detect")
async def detect(
    body: Suspect,
    request: Request,
    response: Response,
    principal: Annotated[Principal, allow("user", scope="inference")],
) -> Finding:
    """Look for this server's mark in a text."""
    found = services(request)
    models = found.models
    if models.watermark is None:
        raise ApiError(400, "this server marks no answers; watermark_key turns it on", code="watermark_off")
    served = await models.find(body.model, principal)
    if served.is_upstream:
        raise ApiError(
            400, f"{served.name} runs on another server, which does not mark its answers", code="watermark_off"
        )
    response.headers.update(await found.limiter.count(principal, served.name))
    ids = await served.backend.encode(body.text)
    score = await anyio.to_thread.run_sync(partial(models.watermark.score, ids))
    return Finding(model=served.name, tokens=score.tokens, green=score.green, z=score.z, p_value=score.p_value)
