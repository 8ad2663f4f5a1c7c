"""The room as the server opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatwright.server.accounts import Accounts
from chatwright.server.answering import Answering, Models
from chatwright.server.conversations.generations import Generations
from chatwright.server.conversations.temporary import TemporaryChats
from chatwright.server.conversations.titles import TitleMaker
from chatwright.server.conversations.turns import Turns
from chatwright.server.database import Database
from chatwright.server.privacy import PrivacyPolicy


@dataclass(frozen=True, slots=True)
class Conversations:
    """The services of the room: answers that are being written, turns, and chats that are not stored."""

    generations: Generations
    turns: Turns
    temporary: TemporaryChats


@asynccontextmanager
async def open_conversations(
    database: Database,
    accounts: Accounts,
    models: Models,
    answering: Answering,
    privacy: PrivacyPolicy,
    *,
    shutdown_seconds: float,
) -> AsyncIterator[Conversations]:
    """The room between the server's start and its end, when answers get ``shutdown_seconds`` to end by themselves."""
    generations = Generations(database, answering, TitleMaker(models, privacy), privacy.for_storage)
    room = Conversations(generations, Turns(database, generations, privacy.for_storage), TemporaryChats(answering))
    accounts.on_end(generations.end_user)
    accounts.on_end(room.temporary.end_user)
    await generations.open()
    try:
        yield room
    finally:
        await room.temporary.close()
        await generations.close(shutdown_seconds)
