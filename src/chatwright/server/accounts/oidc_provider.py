"""An identity provider: what it says of itself, and what it says of somebody who signed in there.

Source:
    OpenID Connect Core 1.0, section 3.1 (authorization code flow); RFC 7636 (PKCE); RFC 9207 (``iss`` in the answer).
"""

import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from chatwright.errors import ConfigError
from chatwright.server.accounts.identity import Identity, ProviderError
from chatwright.server.guard.places import is_loopback_name
from chatwright.server.identifiers import now_ms

_TIMEOUT_S: Final = 10.0
_FRESH_S: Final = 3600.0
_LEEWAY_S: Final = 60
# Signed with the provider's private key. Never "none", and never with a secret that we hold too.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SCOPE: Final = "openid profile email"


@dataclass(frozen=True, slots=True)
class _Metadata:
    described: dict[str, Any]
    keys: KeySet
    read_at: float


class OidcProvider:
    """Speaks to one identity provider. Redirects are not followed: it is asked where the administrator said.

    Args:
        issuer: its identifier, an https URL.
        client_id: by which it knows this server.
        client_secret: that proves it; None for a public client.

    Raises:
        ConfigError: the issuer is no URL to which secrets may be sent.
    """

    def __init__(self, issuer: str, client_id: str, client_secret: str | None) -> None:
        parts = urlsplit(issuer)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_name(parts.hostname or ""))
        if not is_safe or not parts.hostname:
            raise ConfigError(f"oidc_issuer is {issuer!r}; it must begin with https://")
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._metadata: _Metadata | None = None

    async def sign_in_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str, again: bool) -> str:
        """Where to send a browser; ``again``: to prove who it is, even to a provider that knows.

        Raises:
            ProviderError: the provider cannot be asked.
        """
        metadata = await self._read()
        async with self._client(metadata, redirect_uri) as client:
            url, _ = client.create_authorization_url(
                metadata.described["authorization_endpoint"],
                state=state,
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
                **({"prompt": "login", "max_age": 0} if again else {}),
            )
        return str(url)

    async def identity(self, redirect_uri: str, *, code: str, nonce: str, verifier: str, again: bool) -> Identity:
        """Who came back with ``code``.

        After ``again``, a provider that never tells when somebody proved who it is has its word taken that it was now.

        Raises:
            ProviderError: the provider does not accept the code, or its answer cannot be believed.
        """
        metadata = await self._read()
        try:
            async with self._client(metadata, redirect_uri) as client:
                token = await client.fetch_token(
                    metadata.described["token_endpoint"], code=code, code_verifier=verifier
                )
        except (httpx.HTTPError, OAuthError, ValueError) as error:
            raise ProviderError(f"the code was not accepted: {type(error).__name__}") from error
        try:
            decoded = await self._decoded(str(token["id_token"]), metadata)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={"iss": {"value": self.issuer}, "aud": {"value": self._client_id}},
                params={"client_id": self._client_id, "nonce": nonce, "access_token": token.get("access_token")},
            )
            claims.validate(leeway=_LEEWAY_S)
            is_told = "auth_time" in metadata.described.get("claims_supported", ["auth_time"])
            return _claims(claims, unsaid_ms=now_ms() if again and not is_told else None)
        except (JoseError, OAuthError, ValueError, KeyError, TypeError, OverflowError) as error:
            raise ProviderError(f"the identity cannot be believed: {type(error).__name__}") from error

    def came_from(self, issuer: str | None) -> bool:
        """Whether an answer that names its issuer comes from this provider; older providers name none."""
        return issuer is None or issuer == self.issuer

    async def _decoded(self, id_token: str, metadata: _Metadata) -> jwt.Token:
        try:
            return jwt.decode(id_token, metadata.keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError):  # perhaps signed with a key that is newer than what we read
            self._metadata = None
            return jwt.decode(id_token, (await self._read()).keys, algorithms=_ALGORITHMS)

    def _client(self, metadata: _Metadata, redirect_uri: str) -> Any:
        methods = metadata.described.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic_or_post = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return AsyncOAuth2Client(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=basic_or_post if self._client_secret else "none",
            scope=_SCOPE,
            redirect_uri=redirect_uri,
            timeout=_TIMEOUT_S,
            follow_redirects=False,
        )

    async def _read(self) -> _Metadata:
        """What the provider says of itself, at most an hour old."""
        if self._metadata is not None and time.monotonic() - self._metadata.read_at < _FRESH_S:
            return self._metadata
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client:
                described = await _json(client, f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                if described.get("issuer") != self.issuer:
                    raise ProviderError("the provider gives another issuer than oidc_issuer")
                endpoints = [str(described[name]) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
                if any(urlsplit(url).scheme != urlsplit(self.issuer).scheme for url in endpoints):
                    raise ProviderError("the provider has endpoints that are not https")
                keys = KeySet.import_key_set(await _json(client, endpoints[2]))  # type: ignore[arg-type]
        except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"the provider cannot be asked: {type(error).__name__}") from error
        self._metadata = _Metadata(described, keys, time.monotonic())
        return self._metadata


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await client.get(url)
    answer.raise_for_status()
    value = answer.json()
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _claims(claims: Any, *, unsaid_ms: int | None) -> Identity:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ValueError("no subject")
    email = claims.get("email") if claims.get("email_verified") is True else None
    name = next((str(claims[key]) for key in ("preferred_username", "name", "nickname") if claims.get(key)), "")
    name = name or (str(email).partition("@")[0] if email else "")
    said = claims.get("auth_time")
    return Identity(claims["iss"], subject, name, email, unsaid_ms if said is None else min(now_ms(), int(said) * 1000))
