"""A server with a scripted model and people with accounts, as the tests of conversations have it."""

from tests.server.conversations.conftest import world

__all__ = ["world"]
