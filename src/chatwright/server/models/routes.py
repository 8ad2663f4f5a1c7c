"""Models for everybody who may ask them, in OpenAI's form."""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from chatwright.server.errors import REFUSALS
from chatwright.server.models.shapes import Deleted, Model, Models
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["models"], responses=REFUSALS)

User = Annotated[Principal, allow("user", scope="inference")]
ModelName = Annotated[str, Path(max_length=255, pattern=r"^[^\x00]*$")]


@router.get("/v1/models")
async def list_models(request: Request, principal: User) -> Models:
    """The models that the caller may use, the default first."""
    models = services(request).models
    rows = await models.list(principal)
    default = await models.default_name()
    return Models(data=[Model.of(row) for row in sorted(rows, key=lambda row: row.name != default)])


@router.get("/v1/models/{name:path}")
async def read_model(request: Request, principal: User, name: ModelName) -> Model:
    """One model; its name may hold slashes."""
    return Model.of(await services(request).models.row(name, principal))


@router.delete("/v1/models/{name:path}")
async def delete_model(
    request: Request, principal: Annotated[Principal, allow("user", scope="fine_tuning")], name: ModelName
) -> Deleted:
    """Delete a fine-tuned model of one's own."""
    found = services(request)
    await found.models.remove(name, principal)
    await found.audit.record(principal, "model.remove", name)
    return Deleted(id=name)
