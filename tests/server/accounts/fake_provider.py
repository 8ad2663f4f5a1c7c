"""An identity provider of OpenID Connect on loopback that vouches for whomever the test says, well or badly."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "chatwright", "a secret of both"


@dataclass
class FakeProvider:
    """Answers as a provider does, checking what a client must send.

    Attributes:
        issuer: its address.
        person: claims about whoever signs in next.
        forged: claims that are put over the right ones.
        key: that signs; another than the published one is a forger's.
        known_for_s: so long ago did the browser's person prove who it is; asked again, it does so at once.
        tells: whether it says when that was.
    """

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "ann-1", "preferred_username": "ann"})
    forged: dict[str, Any] = field(default_factory=dict)
    published: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    key: RSAKey | None = None
    known_for_s: int = 0
    tells: bool = True
    _pending: dict[str, tuple[dict[str, str], dict[str, Any]]] = field(default_factory=dict)

    def application(self) -> Starlette:
        """The provider's routes."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.describe),
                Route("/keys", self.keys),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
            ]
        )

    async def describe(self, _: Request) -> JSONResponse:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "claims_supported": ["iss", "sub", *["auth_time"] * self.tells],
            }
        )

    async def keys(self, _: Request) -> JSONResponse:
        return JSONResponse(KeySet([self.published]).as_dict(private=False))

    async def authorize(self, request: Request) -> RedirectResponse:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(8)
        is_asked = asked.get("prompt") == "login" and asked.get("max_age") == "0"
        proved = {"auth_time": int(time.time()) - (0 if is_asked else self.known_for_s)} if self.tells else {}
        self._pending[code] = asked, {**proved, **self.person}
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", status_code=302)

    async def token(self, request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        asked, person = self._pending.pop(form["code"], ({}, {}))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if (
            not asked
            or request.headers["authorization"] != f"Basic {basic}"
            or form["redirect_uri"] != asked["redirect_uri"]
            or challenge.decode() != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 60, "iat": now, "nonce": asked["nonce"]}
        key = self.key or self.published
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, {**claims, **person, **self.forged}, key)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": id_token})


@contextmanager
def running_provider() -> Iterator[FakeProvider]:
    """A provider on a free port of loopback."""
    provider = FakeProvider()
    config = uvicorn.Config(provider.application(), host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    ready = threading.Event()
    started = server.startup

    async def startup(sockets: Any = None) -> None:
        await started(sockets)
        ready.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not ready.wait(0.1):
            assert thread.is_alive(), "the provider did not start"
        provider.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield provider
    finally:
        server.should_exit = True
        thread.join(30)


def query_of(url: str) -> dict[str, str]:
    """The query of a URL."""
    return dict(parse_qsl(urlsplit(url).query))
