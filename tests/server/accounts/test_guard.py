"""What stands before the routes: hosts, origins, paths, sizes, headers."""

import json
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from chatwright.errors import ConfigError
from chatwright.server.app import create_app
from chatwright.server.guard.places import Places
from tests.server.accounts.conftest import code
from tests.server.conftest import Client, MakeSettings

OTHER_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.",
    "evil@127.0.0.1",
    "127.0.0.1:8000:1",
    "127.0.0.1/x",
    "192.168.1.1",
    "[::1",
    "localhost:999999",
    "localhost:99999",
    "127.0.0.1:65536",
    "127.0.0.1,evil.example",
    "LOCALHOST.evil.example",
]
OTHER_SPELLINGS = [
    "//api/me",
    "/api//me",
    "/./api/me",
    "/api/x/../me",
    "/api/%2e%2e/api/me",
    "/%2e/api/me",
    "/api%2Fme",
    "/api%5cme",
    "/api/me.",
    "/api/me/",
    "/API/me",
    "/Api/Me",
    "/api/me%00",
    "/api/me%0a",
    "/api/me;x",
    "/api/me%20",
    "/api/.%2e/me",
    "/api/%2fme",
    "/api/me%2f",
]
NO_REQUESTS = [
    *(b"[" * 100_000, b'{"a":' * 100_000, b"", b"null", b"[]", b"NaN", b"\xff\xfe", b'"\\ud800"', b'{"\\ud800": 1}'),
    *(b'{"name": ' + b"9" * 5000 + b', "password": 1e999}', b'{"name": null, "password": {}}'),
]
JSON = {"Content-Type": "application/json"}


@pytest.mark.anyio
async def test_case_3_and_10_other_hosts_are_not_served(client: Client) -> None:
    async with client(accounts=False) as http:
        for host in OTHER_HOSTS:
            answer = await http.get("/api/me", headers={"Host": host})
            assert (answer.status_code, code(answer)) == (421, "unknown_host"), host


@pytest.mark.anyio
async def test_own_names_are_served(client: Client) -> None:
    async with client(accounts=False, public_url="https://chat.example.org", allowed_hosts=("box.lan",)) as http:
        for host in ("localhost", "LocalHost:8000", "127.0.0.1", "[::1]:8000", "chat.example.org", "BOX.lan:80"):
            assert (await http.get("/api/me", headers={"Host": host})).status_code == 200, host


def test_who_listens_on_every_address_is_asked_by_any_of_them(make_settings: MakeSettings) -> None:
    places = Places(make_settings(host="0.0.0.0"))
    assert places.serves("192.168.1.7:8000")
    assert places.serves("[fe80::1]:8000")
    assert not places.serves("rebound.example")


@pytest.mark.anyio
async def test_two_hosts_are_none(client: Client) -> None:
    async with client(accounts=False) as http:
        answer = await http.get("/api/me", headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])
        assert answer.status_code == 421


def test_case_3_no_other_spelling_of_a_path_reaches_a_route(live_server: str) -> None:
    address = urlsplit(live_server)
    for path in OTHER_SPELLINGS:  # by a client that sends them as they are
        connection = HTTPConnection(address.hostname or "", address.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error"]["code"]) == (404, "unknown_url"), path
        connection.close()


@pytest.mark.anyio
async def test_an_encoded_slash_is_part_of_a_models_name(client: Client) -> None:
    async with client(accounts=False) as http:
        answer = await http.get(httpx.URL("http://127.0.0.1:8000", raw_path=b"/v1/models/org%2Fname"))
        assert "nothing at this path" not in answer.text


@pytest.mark.anyio
@pytest.mark.parametrize("accounts", [True, False])
async def test_case_10_other_sites_pages_change_nothing(client: Client, accounts: bool) -> None:
    async with client(accounts=accounts) as http:
        await http.post("/api/sign-up", json={"name": "admin", "password": "correct horse"})
        for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8000", ""):
            answer = await http.patch("/api/me", json={"training_consent": True}, headers={"Origin": origin})
            assert (answer.status_code, code(answer)) == (403, "cross_origin"), origin
        own = await http.patch("/api/me", json={"language": "en"}, headers={"Origin": "http://127.0.0.1:8000"})
        assert own.status_code == 200
        assert own.json()["training_consent"] is False


@pytest.mark.anyio
async def test_case_10_a_form_is_not_json(client: Client) -> None:
    async with client() as http:
        await http.post("/api/sign-up", json={"name": "admin", "password": "correct horse"})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            body = b'{"training_consent": true}'
            answer = await http.patch("/api/me", content=body, headers={"Content-Type": kind})
            assert (answer.status_code, code(answer)) == (415, "unsupported_content_type"), kind
        assert (await http.get("/api/me")).json()["training_consent"] is False


@pytest.mark.anyio
async def test_case_10_allowed_origins_read_with_a_key_and_never_with_cookies(client: Client) -> None:
    page = "https://page.example"
    async with client(allowed_origins=(page,)) as http:
        await http.post("/api/sign-up", json={"name": "admin", "password": "correct horse"})
        asked = {"Origin": page, "Access-Control-Request-Method": "POST"}
        preflight = await http.options("/v1/chat/completions", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == page
        for answer in (preflight, await http.get("/api/setup", headers={"Origin": page})):
            assert "access-control-allow-credentials" not in answer.headers
            assert answer.headers["access-control-allow-origin"] == page
        refused = await http.patch("/api/me", json={"language": "en"}, headers={"Origin": page})
        assert code(refused) == "cross_origin"
        other = await http.options("/v1/chat/completions", headers={**asked, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.anyio
async def test_case_12_bodies_are_bounded_announced_or_not(client: Client) -> None:
    async with client(max_body_bytes=2048) as http:
        credentials = {"name": "x", "password": "y" * 4096}
        announced = await http.post("/api/sign-in", json=credentials)
        assert (announced.status_code, code(announced)) == (413, "request_too_large")

        async def chunks() -> AsyncIterator[bytes]:
            for character in json.dumps(credentials):
                yield character.encode()

        streamed = await http.post("/api/sign-in", content=chunks(), headers=JSON)
        assert (streamed.status_code, code(streamed)) == (413, "request_too_large")


@pytest.mark.anyio
async def test_case_12_nothing_large_is_read_from_somebody_unknown(client: Client) -> None:
    async with client() as http:
        for headers in ({"Content-Length": "10000000"}, {}):
            read = 0

            async def megabytes() -> AsyncIterator[bytes]:
                nonlocal read
                yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
                for _ in range(1000):
                    read += 10_000
                    yield b"x" * 10_000

            kind = {"Content-Type": "multipart/form-data; boundary=x"}
            answer = await http.post("/v1/files", content=megabytes(), headers=headers | kind)
            assert answer.status_code == (401 if headers else 413)
            assert read <= (0 if headers else 100_000)


@pytest.mark.anyio
async def test_case_12_what_is_no_request_is_refused_and_the_server_lives(client: Client) -> None:
    async with client() as http:
        for body in NO_REQUESTS:
            answer = await http.post("/api/sign-in", content=body, headers=JSON)
            assert 400 <= answer.status_code < 500, body[:50]
            code(answer)
        assert (await http.get("/api/setup")).status_code == 200


@pytest.mark.anyio
async def test_headers_are_bounded(client: Client) -> None:
    async with client(accounts=False) as http:
        many = {f"x-{number}": "y" for number in range(200)}
        for headers in (many, {"x": "y" * 40_000}):
            assert code(await http.get("/api/me", headers=headers)) == "headers_too_large"


@pytest.mark.anyio
async def test_case_9_every_answer_forbids_what_is_not_ours(client: Client) -> None:
    async with client(accounts=False, public_url="https://chat.example.org") as http:
        refused = await http.get("/api/me", headers={"Host": "evil.example"})
        for answer in (await http.get("/api/me"), await http.get("/no-such"), refused):
            policy = answer.headers["content-security-policy"]
            assert "unsafe" not in policy
            assert "default-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "max-age" in answer.headers["strict-transport-security"]
            assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "chat.example.org"])
def test_case_6_no_open_server_without_accounts_or_key(make_settings: MakeSettings, host: str) -> None:
    with pytest.raises(ConfigError, match="listen on"):
        create_app(make_settings(host=host, accounts=False))
    create_app(make_settings(host=host, accounts=False, api_key="k" * 16))
    create_app(make_settings(host=host))
    with pytest.raises(ConfigError, match="could guess it"):
        create_app(make_settings(host=host, api_key="secret"))
    create_app(make_settings(api_key="secret"))  # on loopback it is one's own affair


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_key(make_settings: MakeSettings, host: str) -> None:
    create_app(make_settings(host=host, accounts=False))


@pytest.mark.parametrize("origin", ["*", "https://page.example/", "page.example", "ftp://page.example", "null"])
def test_origins_are_written_out(make_settings: MakeSettings, origin: str) -> None:
    with pytest.raises(ConfigError, match="allowed_origins"):
        create_app(make_settings(allowed_origins=(origin,)))
