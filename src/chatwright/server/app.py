"""The application: routes of every room, one form of error, and what starts and ends with the server."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import import_module

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from chatwright import __version__
from chatwright.errors import ChatwrightError
from chatwright.server.errors import ApiError, as_api_error
from chatwright.server.guard import Guard, SecurityHeaders, refuse_unsafe_start
from chatwright.server.invalid import refusal_of
from chatwright.server.operations.observe import Observe
from chatwright.server.page.routes import page_of_nothing
from chatwright.server.principal import NOBODY
from chatwright.server.services import open_services
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)

# Modules with a ``router``. In order: a page's catch-all route comes last.
ROUTERS: tuple[str, ...] = (
    "chatwright.server.files.routes",
    "chatwright.server.files.upload_routes",
    "chatwright.server.jobs.routes",
    "chatwright.server.jobs.admin_routes",
    "chatwright.server.operations.routes",
    "chatwright.server.operations.admin_routes",
    "chatwright.server.accounts.routes",
    "chatwright.server.accounts.me_routes",
    "chatwright.server.accounts.oidc_routes",
    "chatwright.server.accounts.admin_routes",
    "chatwright.server.limits.routes",
    "chatwright.server.moderation.routes",
    "chatwright.server.openai.routes",
    "chatwright.server.models.routes",
    "chatwright.server.models.admin_routes",
    "chatwright.server.models.watermark_routes",
    "chatwright.server.models.engine_routes",
    "chatwright.server.conversations.routes",
    "chatwright.server.inside.routes",
    "chatwright.server.evaluations.routes",
    "chatwright.server.feedback.routes",
    "chatwright.server.attachments.routes",
    "chatwright.server.portability.routes",
    "chatwright.server.page.routes",
    "chatwright.server.privacy.routes",
)


def create_app(settings: ServerSettings) -> FastAPI:
    """The ASGI application; its services open when the server starts.

    Raises:
        ConfigError: the settings would open the server to everybody.
    """
    refuse_unsafe_start(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings) as services:
            app.state.services = services
            app.state.identify = services.accounts.identify
            yield

    app = FastAPI(
        title="Chatwright",
        version=__version__,
        summary="A ChatGPT of one's own: OpenAI's API under /v1, the page's data under /api.",
        lifespan=lifespan,
        docs_url=None,  # it loads scripts from another host
        redoc_url=None,
        redirect_slashes=False,  # one path, one route
    )
    for name in ROUTERS:
        app.include_router(import_module(name).router)
    app.add_exception_handler(ChatwrightError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Guard, settings=settings)  # the last that is added is the outermost
    app.add_middleware(Observe)
    app.add_middleware(SecurityHeaders, settings=settings)
    return app


def error_response(error: ApiError) -> JSONResponse:
    """A refusal as an HTTP answer."""
    return JSONResponse(error.body(), error.status, error.headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ChatwrightError)
    answer = as_api_error(error, getattr(request.state, "principal", NOBODY))
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a request failed: %s", type(error).__name__, exc_info=error)
    return error_response(answer)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return error_response(refusal_of(error.errors(), error.body))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        if (page := page_of_nothing(request)) is not None:
            return page
        answer = ApiError(404, f"there is no {request.method} {request.url.path[:200]}", code="unknown_url")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer = ApiError(405, f"{request.method} is not allowed here", code="method_not_allowed")
    else:
        answer = ApiError(error.status_code, str(error.detail), code="invalid_request")
    answer.headers.update(error.headers or {})
    return error_response(answer)
