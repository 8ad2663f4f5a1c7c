"""How the server is, for the people who run it."""

import os
import platform
import shutil
from typing import Annotated, Final, Literal

import anyio
import psutil  # type: ignore[import-untyped]
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from chatwright import __version__
from chatwright.server.errors import REFUSALS
from chatwright.server.identifiers import now_ms
from chatwright.server.policy import allow
from chatwright.server.principal import Principal
from chatwright.server.services import Services, services

router = APIRouter(tags=["administration"], responses=REFUSALS)

_PROCESS: Final = psutil.Process()


class Machine(BaseModel):
    """What there is, and what of it is taken."""

    process_memory_bytes: int
    memory_free_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int = Field(description="where the server keeps what it writes")
    disk_total_bytes: int
    cpus: int
    load: float = Field(description="programs that ran or waited for a processor in the last minute, on average")


class SystemHealth(BaseModel):
    """What runs, since when, and what it takes."""

    version: str
    python: str
    platform: str
    started_ms: int
    at_ms: int
    database: Literal["sqlite", "postgresql"]
    database_ok: bool
    model: Literal["ready", "loading", "unloaded", "failed"]
    model_detail: str
    models_loaded: int
    models_memory_bytes: int = Field(description="taken by models that are loaded")
    machine: Machine


@router.get("/api/admin/health")
async def read_health(request: Request, _: Annotated[Principal, allow("admin", scope="admin")]) -> SystemHealth:
    """How the server is."""
    found = services(request)
    health, states = await found.readiness.model(), await found.models.states()
    taken = [state.memory_bytes for state in states if state.memory_bytes]
    return SystemHealth(
        version=__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        started_ms=round(_PROCESS.create_time() * 1000),
        at_ms=now_ms(),
        database="sqlite" if found.database.is_sqlite else "postgresql",
        database_ok=await found.readiness.database(),
        model=health.state,
        model_detail=health.detail,
        models_loaded=len(taken),
        models_memory_bytes=sum(taken),
        machine=await anyio.to_thread.run_sync(_machine, found),
    )


def _machine(found: Services) -> Machine:
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(found.settings.home.expanduser())
    return Machine(
        process_memory_bytes=_PROCESS.memory_info().rss,
        memory_free_bytes=memory.available,
        memory_total_bytes=memory.total,
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        cpus=os.cpu_count() or 1,
        load=psutil.getloadavg()[0],
    )
