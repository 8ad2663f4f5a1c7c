"""HTTP with another server: bounded in time and size, without redirects, its failures told in our own words."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from chatwright.server.backends.upstream_address import GuardedTransport, checked_url
from chatwright.server.errors import ApiError

_MAX_BODY_BYTES: Final = 64 << 20
_MAX_LINE_CHARS: Final = 8 << 20
_MAX_MESSAGE_CHARS: Final = 500
# vLLM, SGLang, llama.cpp and Ollama have no code of their own for it.
_TOO_LONG: Final = re.compile(
    r"context.?(length|size|window)|exceed\w*.{0,20}context|longer than the model", re.IGNORECASE
)


class UpstreamClient:
    """Requests to one server.

    Args:
        base_url: up to and with ``/v1``.
        api_key: sent as a bearer; None sends none.
        allow_private: whether its address may be this machine's or a private network's.
        headers: sent with every request.
        read_seconds: how long it may be silent.
        is_ours: another Chatwright, whose refusals are passed on as they are.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        allow_private: bool = False,
        headers: Mapping[str, str] | None = None,
        read_seconds: float = 300.0,
        is_ours: bool = False,
    ) -> None:
        self._is_ours = is_ours
        url = checked_url(base_url)
        given = dict(headers or {})
        if api_key:
            given["Authorization"] = f"Bearer {api_key}"
        self._root = str(url.copy_with(path=url.path.removesuffix("/v1") or "/")).rstrip("/")
        self._base = str(url).rstrip("/")
        self._http = httpx.AsyncClient(
            transport=GuardedTransport(allow_private=allow_private),
            headers=given,
            timeout=httpx.Timeout(read_seconds, connect=10.0, write=60.0, pool=60.0),
            follow_redirects=False,
            trust_env=False,  # a proxy of the environment would connect where our check has no say
        )

    async def get(self, path: str) -> Any:
        """The JSON at a path. Raises ApiError."""
        return await self._json("GET", f"{self._base}{path}", None)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        beside_v1: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that a path answers with.

        Args:
            path: below the base URL.
            body: as JSON.
            beside_v1: the path lies beside ``/v1``, as vLLM's ``/tokenize`` does.
            headers: further ones.

        Raises:
            ApiError: 502, 503 or 504 for what is wrong there; 4xx for what is wrong with the request.
        """
        return await self._json("POST", f"{self._root if beside_v1 else self._base}{path}", body, headers)

    @asynccontextmanager
    async def stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines that a path answers with, as they come. Raises as :meth:`post`, also between lines."""
        async with self._sent("POST", f"{self._base}{path}", body, headers) as response:
            yield _lines(response)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _json(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> Any:
        async with self._sent(method, url, body, headers) as response:
            data = await _read(response)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise _unusable("it did not answer with JSON") from None

    @asynccontextmanager
    async def _sent(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> AsyncIterator[httpx.Response]:
        try:
            content = None if body is None else json.dumps(body, allow_nan=False).encode()
            given = {"Content-Type": "application/json"} if content is not None else {}
            async with self._http.stream(method, url, content=content, headers=given | dict(headers or {})) as response:
                if response.status_code != httpx.codes.OK:
                    data = await _read(response)
                    raise _passed_on(response, data) if self._is_ours else _refused(response, data)
                yield response
        except httpx.TimeoutException:
            raise ApiError(504, "the server behind this model takes too long", code="upstream_timeout") from None
        except httpx.HTTPError as error:
            # httpx puts the address into some of its messages, which are not for everybody: the log has them.
            raise ApiError(
                502, "the server behind this model cannot be reached; try again", code="upstream_unavailable"
            ) from error


async def _read(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > _MAX_BODY_BYTES:
            raise _unusable("its answer is too large")
        parts.append(part)
    return b"".join(parts)


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Lines without their ends; only ``\\n`` ends one, since JSON may hold the other ends of lines as they are."""
    held: list[str] = []
    size = 0
    async for text in response.aiter_text():
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*held, line]).rstrip("\r")
            held, size = [], 0
        held.append(rest)
        size += len(rest)
        if size > _MAX_LINE_CHARS:
            raise _unusable("a line of its answer is too long")
    if size:
        yield "".join(held)


def _unusable(why: str) -> ApiError:
    return ApiError(502, f"the server behind this model cannot be used: {why}", code="upstream_error")


def _refused(response: httpx.Response, data: bytes) -> ApiError:
    """What our own caller is told of the other server's refusal."""
    error = _error_of(data)
    message, code = str(error.get("message") or "")[:_MAX_MESSAGE_CHARS], error.get("code")
    match response.status_code:
        case 400 | 413 | 422:
            known = code if code == "content_policy_violation" else "invalid_value"
            if code == "context_length_exceeded" or _TOO_LONG.search(f"{message} {error.get('type')}"):
                known = "context_length_exceeded"
            param = error.get("param")
            return ApiError(
                400,
                message or "the server behind this model refuses the request",
                code=known,
                param=param if isinstance(param, str) else None,
            )
        case 401 | 403:
            return _unusable("it refuses the key of this server; tell an administrator")
        case 404:
            return _unusable("it does not have this model or this function; tell an administrator")
        case 429 | 503:
            wait = response.headers.get("Retry-After", "")
            headers = {"Retry-After": wait if wait.isdigit() else "5"}
            return ApiError(
                503, "the server behind this model is busy; try again later", code="upstream_busy", headers=headers
            )
        case _:
            return _unusable(f"it answers with status {response.status_code}")


def _passed_on(response: httpx.Response, data: bytes) -> ApiError:
    """A refusal by another Chatwright, whose words are ours."""
    error = _error_of(data)
    if not error.get("message") or response.status_code in (401, 403):
        return _unusable(f"it answers with status {response.status_code}; do both servers have the same engine_key?")
    wait = response.headers.get("Retry-After", "")
    return ApiError(
        response.status_code if response.status_code >= 400 else 502,
        str(error["message"]),
        code=error.get("code"),
        type=error.get("type"),
        param=error.get("param"),
        headers={"Retry-After": wait} if wait.isdigit() else {},
    )


def _error_of(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    error = body.get("error", body) if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
