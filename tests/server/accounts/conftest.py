"""Browsers of several people on one server."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from chatwright.server.app import create_app
from chatwright.server.services import Services
from tests.server.conftest import MakeSettings, running

PASSWORD = "correct horse battery"
ADDRESS = "http://127.0.0.1:8000"


@dataclass
class House:
    """A running server, and browsers that talk to it.

    Attributes:
        app: the server's application.
        browsers: every one that was opened.
    """

    app: FastAPI
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    @property
    def services(self) -> Services:
        found: Services = self.app.state.services
        return found

    def browser(self, address: str = "10.0.0.1", **headers: str) -> httpx.AsyncClient:
        """A browser without cookies, on a machine of this address."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1))
        browser = httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers)
        self.browsers.append(browser)
        return browser

    async def join(self, name: str, **more: Any) -> httpx.AsyncClient:
        """A browser of somebody who has just signed up."""
        browser = self.browser(**more)
        answer = await browser.post("/api/sign-up", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return browser

    async def enter(self, name: str, password: str = PASSWORD, **more: Any) -> httpx.AsyncClient:
        """Another browser of somebody who has an account."""
        browser = self.browser(**more)
        answer = await browser.post("/api/sign-in", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        return browser

    async def key(self, browser: httpx.AsyncClient, *scopes: str) -> httpx.AsyncClient:
        """A program with a key of the browser's owner."""
        body = {"name": "program", "scopes": list(scopes or ["conversations"])}
        answer = await browser.post("/api/me/keys", json=body)
        assert answer.status_code == 201, answer.text
        return self.browser(Authorization=f"Bearer {answer.json()['key']}")


OpenHouse = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def house(make_settings: MakeSettings) -> OpenHouse:
    """``async with house(sign_up="open") as house``: a running server of these settings."""

    @asynccontextmanager
    async def open_house(**changes: Any) -> AsyncIterator[House]:
        found = House(create_app(make_settings(**{"sign_up": "open"} | changes)))
        async with running(found.app):
            yield found
            for browser in found.browsers:
                await browser.aclose()

    return open_house


def code(answer: httpx.Response) -> str:
    """The code of a refusal, whose form is checked on the way."""
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return str(error["code"])
