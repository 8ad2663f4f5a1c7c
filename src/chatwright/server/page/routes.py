"""The page's files, and its one document for every address that the page itself understands."""

import gzip
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from chatwright.server.errors import ApiError
from chatwright.server.policy import allow
from chatwright.server.principal import Principal

router = APIRouter(include_in_schema=False)

DIST: Final = Path(__file__).parent / "dist"

# Addresses that the page's own router knows; whatever follows them is its business.
_ADDRESSES: Final = (
    "/",
    "/c/{rest:path}",
    "/share/{rest:path}",
    "/temporary",
    "/sign-in",
    "/sign-up",
    "/settings",
    "/settings/{rest:path}",
    "/admin",
    "/admin/{rest:path}",
)
_FOR_PROGRAMS: Final = frozenset({"api", "v1"})  # below these, what does not exist is JSON whoever asks
_TEXTS: Final = frozenset({".css", ".html", ".js", ".json", ".svg", ".webmanifest"})
_UNBUILT: Final = (
    "<!doctype html><meta charset='utf-8'><title>Chatwright</title><h1>Chatwright</h1>"
    "<p>The API runs. The page is not built yet: run <code>make page</code> and load this again.</p>"
    "<p lang='zh'>API 已启动。网页尚未构建：请运行 <code>make page</code>，然后刷新。</p>"
)


def document(request: Request, principal: Annotated[Principal, allow("public")]) -> Response:
    """The page. Never cached without asking: it names the newest build's files."""
    return _document(request)


for _address in _ADDRESSES:
    router.add_api_route(_address, document, methods=["GET"])


@router.get("/assets/{name}")
def asset(request: Request, name: str, principal: Annotated[Principal, allow("public")]) -> Response:
    """A file of the build. Its name carries a hash of its content, so it may be kept forever."""
    path = _known(DIST / "assets", name)
    if path is None:
        raise _unknown(name)
    return _file(request, path, "public, max-age=31536000, immutable")


@router.get("/{name}")
def top_file(request: Request, name: str, principal: Annotated[Principal, allow("public")]) -> Response:
    """The icon, the manifest, the service worker and the like; to a person who mistyped, the page, which says so."""
    path = _known(DIST, name)
    if path is not None:
        return _file(request, path, "no-cache")
    if _is_person(request):
        return _document(request, 404)
    raise _unknown(name)


def page_of_nothing(request: Request) -> Response | None:
    """The page, which says that there is nothing here, for an address that no route knows; None for programs."""
    ours = request.url.path.split("/", 2)[1] in _FOR_PROGRAMS
    return _document(request, 404) if request.method == "GET" and _is_person(request) and not ours else None


def _is_person(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _document(request: Request, status: int = 200) -> Response:
    path = DIST / "index.html"
    return _file(request, path, "no-cache", status) if path.is_file() else HTMLResponse(_UNBUILT, 503)


def _known(folder: Path, name: str) -> Path | None:
    # The listing is asked, not the file system: no name leads anywhere else.
    known = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
    return known.get(name)


def _unknown(name: str) -> ApiError:
    return ApiError(404, f"there is no GET /{name[:100]}", code="unknown_url")


def _file(request: Request, path: Path, cache: str, status: int = 200) -> Response:
    headers = {"Cache-Control": cache}
    if path.suffix not in _TEXTS:
        return FileResponse(path, status, headers)
    headers["Vary"] = "Accept-Encoding"
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(path, status, headers)
    # Kept compressed: the page's scripts are a quarter of their size so, and squeezing one anew takes 30 ms.
    plain = FileResponse(path, status, headers, stat_result=(stat := path.stat()))
    body = _compressed(path, stat.st_mtime_ns)
    headers |= {"Content-Encoding": "gzip", "ETag": plain.headers["etag"][:-1] + '-gzip"'}
    return Response(body, status, headers, media_type=plain.media_type)


@lru_cache(maxsize=256)
def _compressed(path: Path, changed_ns: int) -> bytes:
    """A file's content; ``changed_ns`` tells builds apart."""
    return gzip.compress(path.read_bytes(), mtime=0)
