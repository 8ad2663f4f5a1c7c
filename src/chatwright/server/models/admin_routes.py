"""Models and the servers that they are on, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Request

from chatwright.server.accounts.shapes import Page
from chatwright.server.errors import REFUSALS
from chatwright.server.fields import PathId
from chatwright.server.models.routes import ModelName
from chatwright.server.models.shapes import (
    ModelChanges,
    ModelInfo,
    NewModel,
    NewUpstream,
    PromotionInfo,
    UpstreamChanges,
    UpstreamCheck,
    UpstreamInfo,
)
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import services

router = APIRouter(tags=["administration"], responses=REFUSALS)

Admin = Annotated[Principal, allow("admin", scope="admin")]


@router.get("/api/admin/models")
async def list_models(request: Request, _: Admin) -> Page[ModelInfo]:
    """Every model with its state and the memory that it takes; all on one page."""
    states = [ModelInfo.of(state) for state in await services(request).models.states()]
    return Page[ModelInfo](data=states, has_more=False, next=None)


@router.post("/api/admin/models", status_code=201)
async def add_model(request: Request, admin: Admin, body: NewModel) -> ModelInfo:
    """Serve a further model: one on this machine, or one of an upstream."""
    administration = services(request).model_administration
    return ModelInfo.of(
        await administration.add(
            admin, body.name, body.kind, body.source, upstream_id=body.upstream_id, options=body.options.given()
        )
    )


@router.get("/api/admin/promotions")
async def list_promotions(request: Request, _: Admin) -> Page[PromotionInfo]:
    """The history of the default model, the newest first; all on one page."""
    found = services(request)
    served = {state.row.name for state in await found.models.states()}
    rows = [
        PromotionInfo(model=row.model, at_ms=row.at_ms, actor_name=row.actor_name, is_served=row.model in served)
        for row in await found.model_administration.promotions()
    ]
    return Page[PromotionInfo](data=rows, has_more=False, next=None)


@router.post("/api/admin/models/{name:path}/load")
async def load_model(request: Request, _: Admin, name: ModelName) -> ModelInfo:
    """Load a model now; the answer comes when it is ready."""
    models = services(request).models
    await models.load(name)
    return ModelInfo.of(await models.state(name))


@router.post("/api/admin/models/{name:path}/unload")
async def unload_model(request: Request, _: Admin, name: ModelName) -> ModelInfo:
    """Give a model's memory back, unless it is in use."""
    models = services(request).models
    await models.unload(name)
    return ModelInfo.of(await models.state(name))


@router.post("/api/admin/models/{name:path}/default")
async def make_default(request: Request, admin: Admin, name: ModelName) -> ModelInfo:
    """Let a model answer requests that name none."""
    return ModelInfo.of(await services(request).model_administration.make_default(admin, name))


@router.get("/api/admin/models/{name:path}")
async def read_model(request: Request, _: Admin, name: ModelName) -> ModelInfo:
    """One model."""
    return ModelInfo.of(await services(request).models.state(name))


@router.patch("/api/admin/models/{name:path}")
async def change_model(request: Request, admin: Admin, name: ModelName, body: ModelChanges) -> ModelInfo:
    """Switch a model on or off, or open it in another way from the next time that it is loaded."""
    changes = body.model_dump(exclude_none=True)
    return ModelInfo.of(await services(request).model_administration.change(admin, name, changes))


@router.delete("/api/admin/models/{name:path}", status_code=204)
async def remove_model(request: Request, admin: Admin, name: ModelName) -> None:
    """Serve a model no longer. A fine-tuned one is deleted; the files of others stay."""
    found = services(request)
    await found.models.remove(name, admin)
    await found.audit.record(admin, "model.remove", name)


@router.get("/api/admin/upstreams")
async def list_upstreams(request: Request, _: Admin) -> Page[UpstreamInfo]:
    """Every upstream; all on one page."""
    rows = await services(request).models.registry.upstreams()
    return Page[UpstreamInfo](data=[UpstreamInfo.of(row) for row in rows], has_more=False, next=None)


@router.post("/api/admin/upstreams", status_code=201)
async def add_upstream(request: Request, admin: Admin, body: NewUpstream) -> UpstreamInfo:
    """Know another server with OpenAI's API."""
    row = await services(request).model_administration.add_upstream(admin, body.model_dump())
    return UpstreamInfo.of(row)


@router.get("/api/admin/upstreams/{upstream_id}")
async def read_upstream(request: Request, _: Admin, upstream_id: PathId) -> UpstreamInfo:
    """One upstream."""
    return UpstreamInfo.of(await services(request).models.registry.upstream(upstream_id))


@router.patch("/api/admin/upstreams/{upstream_id}")
async def change_upstream(request: Request, admin: Admin, upstream_id: PathId, body: UpstreamChanges) -> UpstreamInfo:
    """Change an upstream; requests in flight go on as they began."""
    changes = body.model_dump(exclude_unset=True)
    return UpstreamInfo.of(await services(request).model_administration.change_upstream(admin, upstream_id, changes))


@router.delete("/api/admin/upstreams/{upstream_id}", status_code=204)
async def remove_upstream(request: Request, admin: Admin, upstream_id: PathId) -> None:
    """Forget an upstream, with the models that it serves."""
    await services(request).model_administration.remove_upstream(admin, upstream_id)


@router.post("/api/admin/upstreams/{upstream_id}/check")
async def check_upstream(request: Request, _: Admin, upstream_id: PathId) -> UpstreamCheck:
    """Ask an upstream for its models."""
    state, detail, models = await services(request).model_administration.check(upstream_id)
    return UpstreamCheck(state=state, detail=detail, models=models)
