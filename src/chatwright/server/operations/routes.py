"""What machines ask a server: whether it lives, whether it is ready, and its figures."""

from ipaddress import ip_address
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from chatwright import __version__
from chatwright.server.errors import ApiError
from chatwright.server.operations import metrics
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(tags=["operations"])
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class HealthReport(BaseModel):
    """Whether requests are answered."""

    status: Literal["ok", "loading", "failed"]
    version: str


class ReadinessReport(BaseModel):
    """Whether everything that requests need is there."""

    status: Literal["ready", "not ready"]
    database: Literal["ok", "failed"]
    model: Literal["ok", "loading", "failed"]


@router.get("/health", responses={503: {"model": HealthReport, "description": "The model is loading, or failed"}})
async def health(
    response: Response, found: Annotated[Services, Depends(services)], _: Annotated[Principal, allow("public")]
) -> HealthReport:
    """Whether the default model can be asked; 503 while it loads."""
    status = await _model(found)
    response.status_code = 200 if status == "ok" else 503
    return HealthReport(status=status, version=__version__)


@router.get("/ready", responses={503: {"model": ReadinessReport, "description": "Something is missing"}})
async def ready(
    response: Response, found: Annotated[Services, Depends(services)], _: Annotated[Principal, allow("public")]
) -> ReadinessReport:
    """Whether a load balancer should send requests here: the database answers and the model is there."""
    database, model = await found.readiness.database(), await _model(found)
    is_ready = database and model == "ok"
    response.status_code = 200 if is_ready else 503
    return ReadinessReport(
        status="ready" if is_ready else "not ready", database="ok" if database else "failed", model=model
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text form"},
        404: {"description": "Turned off, or asked for from elsewhere"},
    },
)
async def read_metrics(
    request: Request, found: Annotated[Services, Depends(services)], principal: Annotated[Principal, allow("public")]
) -> Response:
    """Figures for Prometheus; by default only for programs on this machine, and for administrators."""
    wanted = found.settings.metrics
    if wanted == "off" or (wanted == "local" and not principal.is_admin and not _is_local(request)):
        raise ApiError(404, "there is no GET /metrics", code="unknown_url")
    return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


async def _model(found: Services) -> Literal["ok", "loading", "failed"]:
    health = await found.readiness.model()
    # One that was unloaded for want of memory is loaded by the next request.
    return health.state if health.state in ("loading", "failed") else "ok"


def _is_local(request: Request) -> bool:
    """Whether a program on this machine asks, and not a proxy on this machine for somebody elsewhere."""
    if request.client is None or any(header in request.headers for header in _FORWARDED):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
