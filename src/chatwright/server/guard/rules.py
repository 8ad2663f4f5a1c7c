"""What a request must be like before any route sees it. Each rule raises the refusal."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from chatwright.server.accounts.sessions import COOKIE
from chatwright.server.errors import ApiError
from chatwright.server.guard.places import Origin, Places
from chatwright.server.language import language_of
from chatwright.server.principal import Principal
from chatwright.server.settings import ServerSettings

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_HEADERS: Final = 128
_MOST_HEADER_BYTES: Final = 32_768
# A route's body is read before its policy is asked. So much is read from whoever comes; for more, the guard asks.
ANYBODYS_BYTES: Final = 65_536
_FRAMING_BYTES: Final = 1 << 20  # what multipart adds to a file
# Where files are sent, which may be larger than other requests; the routes check their exact size.
_FILE_PATHS: Final = ("/v1/files", "/v1/uploads/", "/api/imports", "/api/attachments")
_NEVER_IN_A_PATH: Final = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(?:/|$)")
_COOKIE: Final = re.compile(rf"(?:^|;)\s*{COOKIE}=")
# Our page says this with what is not JSON. A form cannot, and a script of another origin must ask before it does.
_REQUESTED_WITH: Final = "chatwright"


def check_headers(headers: Headers) -> None:
    """Refuse more headers than any program sends."""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if len(headers.raw) > _MOST_HEADERS or size > _MOST_HEADER_BYTES:
        raise ApiError(431, "the headers are too large", code="headers_too_large")


def check_host(headers: Headers, places: Places) -> str:
    """Refuse a request that was not meant for this server; returns the ``Host``."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not places.serves(hosts[0]):
        raise ApiError(
            421,
            _reader(headers).say(
                "this server does not serve this host name; an administrator can add it to allowed_hosts, or set "
                "public_url",
                "服务器不接受此主机名；管理员可将其加入 allowed_hosts 或设置 public_url",
            ),
            code="unknown_host",
        )
    return hosts[0]


def check_path(scope: Scope) -> None:
    """Refuse paths that another program on the way may understand otherwise: they are no route of ours.

    An encoded slash is a part of a model's name, and of nothing else.
    """
    path, raw = scope["path"], scope.get("raw_path", b"").lower()
    hides_slash = b"%2f" in raw and b"/models/" not in raw.partition(b"%2f")[0]
    if not path.startswith("/") or hides_slash or _NEVER_IN_A_PATH.search(path):
        raise ApiError(404, "there is nothing at this path", code="unknown_url")
    if b"%00" in scope["query_string"]:
        raise ApiError(400, "the query has a NUL character; leave it out", code="invalid_value")


def check_origin(scope: Scope, headers: Headers, host: str, places: Places) -> Origin | None:
    """Refuse what other sites' pages have a person's browser do; returns whose page asks, None where none does.

    Reading across origins is prevented by browsers, since only allowed origins get the headers for it. Doing is what
    has to be refused here. A page of an allowed origin comes with a key of its own: cookies are for our page alone.
    """
    origins = headers.getlist("origin")
    kind = None if not origins else "foreign" if len(origins) > 1 else places.kind_of(origins[0], host)
    if scope["method"] in SAFE_METHODS:
        return kind
    has_session = any(_COOKIE.search(value) for value in headers.getlist("cookie"))
    if kind == "foreign" or (kind == "allowed" and has_session):
        raise ApiError(
            403,
            _reader(headers).say(
                "pages of another site may not do this; an administrator can add its origin to allowed_origins",
                "不允许其他网站的页面执行此操作；管理员可将其来源加入 allowed_origins",
            ),
            code="cross_origin",
        )
    if has_session or (kind is not None and "authorization" not in headers):
        _check_content_type(headers)
    return kind


def _check_content_type(headers: Headers) -> None:
    """From a browser: JSON, which no form can send, or with a header that no form can send."""
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type in ("", "application/json") or headers.get("x-requested-with") == _REQUESTED_WITH:
        return
    raise ApiError(
        415,
        f"send application/json, or the header X-Requested-With: {_REQUESTED_WITH}",
        code="unsupported_content_type",
    )


def body_limit(scope: Scope, settings: ServerSettings) -> int:
    """How many bytes the request's body may have."""
    if scope["method"] == "POST" and scope["path"].startswith(_FILE_PATHS):
        return settings.max_file_bytes + _FRAMING_BYTES
    return settings.max_body_bytes


def needs_a_name(headers: Headers) -> bool:
    """Whether a body is, or may become, larger than what is read from anybody."""
    return announced_bytes(headers) > ANYBODYS_BYTES or "transfer-encoding" in headers


def too_large(headers: Headers, limit: int) -> ApiError:
    """413; the connection is closed, since the rest of the body is not read."""
    return ApiError(
        413,
        _reader(headers).say(f"the request is larger than {limit} bytes", f"请求超过 {limit} 字节"),
        code="request_too_large",
        headers={"Connection": "close"},
    )


def announced_bytes(headers: Headers) -> int:
    """The length that the request says its body has; 0 where it says none."""
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        raise ApiError(400, "Content-Length is no number", code="invalid_value") from None


def _reader(headers: Headers) -> Principal:
    return Principal(language=language_of(headers.get("accept-language")))
