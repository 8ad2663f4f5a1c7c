"""The page's files, and its one document for every address that the page itself understands."""

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter
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
    "/sign-in",
    "/sign-up",
    "/settings",
    "/settings/{rest:path}",
    "/admin",
    "/admin/{rest:path}",
)
_UNBUILT: Final = (
    "<!doctype html><meta charset='utf-8'><title>Chatwright</title><h1>Chatwright</h1>"
    "<p>The API runs. The page is not built yet: run <code>make page</code> and load this again.</p>"
    "<p lang='zh'>API 已启动。网页尚未构建：请运行 <code>make page</code>，然后刷新。</p>"
)


async def document(principal: Annotated[Principal, allow("public")]) -> Response:
    """The page. Never cached without asking: it names the newest build's files."""
    path = DIST / "index.html"
    if not path.is_file():
        return HTMLResponse(_UNBUILT, 503)
    return FileResponse(path, headers={"Cache-Control": "no-cache"})


for _address in _ADDRESSES:
    router.add_api_route(_address, document, methods=["GET"])


@router.get("/assets/{name}")
async def asset(name: str, principal: Annotated[Principal, allow("public")]) -> Response:
    """A file of the build. Its name carries a hash of its content, so it may be kept forever."""
    return _file(DIST / "assets", name, "public, max-age=31536000, immutable")


@router.get("/{name}")
async def top_file(name: str, principal: Annotated[Principal, allow("public")]) -> Response:
    """The icon, the manifest, the service worker and the like."""
    return _file(DIST, name, "no-cache")


def _file(folder: Path, name: str, cache: str) -> Response:
    # The listing is asked, not the file system: no name leads anywhere else.
    known = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
    if name not in known:
        raise ApiError(404, f"there is no GET /{name[:100]}", code="unknown_url")
    return FileResponse(known[name], headers={"Cache-Control": cache})
