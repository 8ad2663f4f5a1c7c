"""Refusals in the form that OpenAI's clients understand: a status, and an object of exactly four keys."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from chatwright.errors import (
    ChatwrightError,
    ConstraintError,
    ContextLengthError,
    EngineError,
    InputError,
    InvalidParameterError,
    ModelNotFoundError,
    TemplateError,
)
from chatwright.server.principal import NOBODY, Principal

CONSTRAINT_UNSATISFIABLE: Final = "constraint_unsatisfiable"


class ApiError(ChatwrightError):
    """A request that is refused.

    Args:
        status: of the HTTP answer, 400 to 599.
        message: one sentence with the remedy, for people.
        code: for programs, such as ``model_not_found``.
        type: class of the error; None takes the usual one of the status.
        param: the parameter that is at fault.
        headers: of the HTTP answer, such as ``Retry-After``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.type = type or _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """What the client reads: ``{"error": {"message", "type", "param", "code"}}``."""
        error = {"message": str(self), "type": self.type, "param": self.param, "code": self.code}
        # Both may repeat what the client sent, lone surrogates included, which no answer can carry.
        return {"error": {key: text and text.encode(errors="replace").decode() for key, text in error.items()}}


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    503: "server_error",
}


def not_found(what: str, name: str) -> ApiError:
    """404 for what does not exist and for what belongs to somebody else, without telling which."""
    return ApiError(404, f"there is no {what} {name!r}", code=f"{re.sub('[ -]', '_', what)}_not_found")


def server_bug(caller: Principal) -> ApiError:
    """500 for what nobody has thought of: everything about it is in the log, nothing in the answer."""
    return ApiError(
        500,
        caller.say("this is a bug of the server; its log has the details", "服务器内部出现错误，详情见服务器日志"),
        code="internal_error",
    )


def as_api_error(error: ChatwrightError, caller: Principal = NOBODY) -> ApiError:
    """What a client is told of an error of the library.

    Errors that name our files or settings become a plain 500: the text is for the log.
    """
    match error:
        case ApiError():
            return error
        case ContextLengthError():
            return ApiError(400, str(error), code="context_length_exceeded", param="messages")
        case InvalidParameterError():
            return ApiError(400, str(error), code="invalid_value", param=error.parameter)
        case ModelNotFoundError():
            return ApiError(404, str(error), code="model_not_found", param="model")
        case InputError() | TemplateError():
            return ApiError(400, str(error), code="invalid_value", param="messages")
        case ConstraintError():
            return ApiError(400, str(error), code=CONSTRAINT_UNSATISFIABLE)
        case EngineError():
            told = caller.say("the model cannot answer now; try again", "模型暂时无法回答，请重试")
            return ApiError(503, told, code="engine_unavailable")
        case _:
            told = caller.say(
                "the server could not do this; the log of the server says why", "服务器未能完成此操作，原因见服务器日志"
            )
            return ApiError(500, told, code="internal_error")


class ErrorDetail(BaseModel):
    """What was wrong, for people and for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """Every answer that is a refusal."""

    error: ErrorDetail


# For ``APIRouter(responses=REFUSALS)``: what a route may answer beside what it is for.
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorAnswer, "description": "Refused; the message says why and what to do."},
    "5XX": {"model": ErrorAnswer, "description": "Cannot be done now."},
}
