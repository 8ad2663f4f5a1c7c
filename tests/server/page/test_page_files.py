"""The built page as the server gives it out; what it shows is tried in ``tests/e2e``."""

import gzip
from pathlib import Path

import pytest

from chatwright.server.page import routes
from tests.server.conftest import Client

pytestmark = pytest.mark.anyio
SCRIPT = "console.log('hello');\n" * 100
AS_BROWSER = {"Accept": "text/html,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    dist = tmp_path / "dist"
    (dist / "assets").mkdir(parents=True)
    (dist / "index.html").write_text("<title>Chatwright</title>")
    (dist / "assets" / "index-abc.js").write_text(SCRIPT)
    (dist / "assets" / "font.woff2").write_bytes(b"wOF2")
    monkeypatch.setattr(routes, "DIST", dist)
    return dist


async def test_texts_travel_compressed_to_who_can_read_that(client: Client) -> None:
    async with client(accounts=False) as http:
        async with http.stream("GET", "/assets/index-abc.js", headers={"Accept-Encoding": "gzip"}) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-type"].startswith("text/javascript")
        assert "immutable" in answer.headers["cache-control"]
        assert len(raw) == int(answer.headers["content-length"]) < len(SCRIPT) / 10
        assert gzip.decompress(raw).decode() == SCRIPT
        plain = await http.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
        assert (plain.text, plain.headers["vary"]) == (SCRIPT, "Accept-Encoding")
        assert plain.headers["etag"] != answer.headers["etag"]
        font = await http.get("/assets/font.woff2", headers={"Accept-Encoding": "gzip"})
        assert (font.content, "content-encoding" in font.headers) == (b"wOF2", False)


async def test_a_new_build_is_given_out_at_once(client: Client, built: Path) -> None:
    async with client(accounts=False) as http:
        assert "Chatwright" in (await http.get("/")).text
        (built / "index.html").write_text("<title>The next</title>")
        assert "The next" in (await http.get("/")).text


async def test_who_mistypes_gets_the_page_and_programs_get_json(client: Client) -> None:
    async with client(accounts=False) as http:
        page = await http.get("/nowhere", headers=AS_BROWSER)
        assert (page.status_code, "Chatwright" in page.text) == (404, True)
        assert (await http.get("/nowhere")).json()["error"]["code"] == "unknown_url"
        for address in ("/foo/bar", "/foo/bar/else", "/assets/nothing.js/x"):
            page = await http.get(address, headers=AS_BROWSER)
            assert (page.status_code, "Chatwright" in page.text) == (404, True)
            assert (await http.get(address, headers={"Accept": "*/*"})).headers["content-type"] == "application/json"
        for address in ("/api/foo/bar", "/v1/foo/bar"):
            assert (await http.get(address, headers=AS_BROWSER)).json()["error"]["code"] == "unknown_url"
        refused = await http.post("/foo/bar", headers={**AS_BROWSER, "X-Requested-With": "chatwright"})
        assert refused.json()["error"]["code"] == "unknown_url"
        for address in ("/assets/nothing.js", "/assets/..%2findex.html", "/..%2fsecret"):
            assert (await http.get(address, headers={"Accept": "*/*"})).status_code == 404


async def test_without_a_build_the_page_says_how_to_make_one(client: Client, built: Path) -> None:
    (built / "index.html").unlink()
    async with client(accounts=False) as http:
        answer = await http.get("/", headers=AS_BROWSER)
        assert (answer.status_code, "make page" in answer.text) == (503, True)
