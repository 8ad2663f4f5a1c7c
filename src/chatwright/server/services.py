"""The services of a running server, made once at its start and closed at its end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from fastapi import Request

from chatwright.server.accounts import Accounts, AuditLog, RuntimeSettings, open_accounts
from chatwright.server.answering import Answering
from chatwright.server.attachments.reading import AttachmentReader
from chatwright.server.conversations import Conversations, open_conversations
from chatwright.server.database import Database, open_database
from chatwright.server.files import Files, Uploads, open_files
from chatwright.server.jobs import Jobs, open_jobs
from chatwright.server.limits import Limiter, open_limiter
from chatwright.server.models.administration import ModelAdministration
from chatwright.server.models.pool import ModelPool
from chatwright.server.moderation import Moderator, open_moderator
from chatwright.server.openai.responses_store import ResponseStore
from chatwright.server.operations.readiness import Readiness
from chatwright.server.portability.importer import Importer, open_importer
from chatwright.server.privacy import PrivacyPolicy, open_privacy
from chatwright.server.privacy.erasure import Erasure
from chatwright.server.privacy.retention import open_erasure
from chatwright.server.settings import ServerSettings


@dataclass(slots=True)
class Services:
    """What routes call.

    Attributes:
        settings: as the server was started.
        database: open until the end.
        runtime: settings that administrators change while the server runs.
        audit: the record of what was done.
        accounts: who there is.
        privacy: what leaves the server and what is kept.
        limiter: who may take how much.
        moderator: what may be asked and answered.
        models: that are served.
        model_administration: what administrators do to them.
        answering: the way to an answer.
        responses: of OpenAI's Responses API, as far as they are kept.
        conversations: answers that are being written, turns, and chats that are not stored.
        attachments: reads files that go with a question.
        erasure: deletes what people leave behind.
        importer: brings conversations in.
        files, uploads: what people keep here.
        jobs: fine-tuning.
        readiness: whether the server can do its work.
    """

    settings: ServerSettings
    database: Database
    runtime: RuntimeSettings
    audit: AuditLog
    accounts: Accounts
    privacy: PrivacyPolicy
    limiter: Limiter
    moderator: Moderator
    models: ModelPool
    model_administration: ModelAdministration
    answering: Answering
    responses: ResponseStore
    conversations: Conversations
    attachments: AttachmentReader
    erasure: Erasure
    importer: Importer
    files: Files
    uploads: Uploads
    jobs: Jobs
    readiness: Readiness


@asynccontextmanager
async def open_services(settings: ServerSettings) -> AsyncIterator[Services]:
    """Everything that a server needs, in the order in which it depends on each other.

    Raises:
        ChatwrightError: something cannot be opened; the message says what to do.
    """
    async with AsyncExitStack() as stack:
        home = settings.home.expanduser()
        database = await open_database(settings.database_location(), backups=settings.home / "backups")
        stack.push_async_callback(database.close)
        audit = AuditLog(database)
        runtime = RuntimeSettings(database, settings, audit)
        accounts = await stack.enter_async_context(open_accounts(database, settings, runtime, audit))
        privacy = await stack.enter_async_context(open_privacy(settings, runtime))
        limiter = await stack.enter_async_context(open_limiter(settings, database))
        moderator = await stack.enter_async_context(open_moderator(settings, database, runtime, privacy))
        models = ModelPool(settings, database, runtime)
        stack.push_async_callback(models.close)
        answering = Answering(models, limiter, moderator, privacy)
        conversations = await stack.enter_async_context(
            open_conversations(
                database, accounts, models, answering, privacy, shutdown_seconds=settings.shutdown_seconds
            )
        )
        importer = await stack.enter_async_context(open_importer(database, privacy, home / "imports"))
        files, uploads = await stack.enter_async_context(open_files(settings, database))
        jobs = await stack.enter_async_context(open_jobs(settings, database, files, models, privacy))
        accounts.on_delete(jobs.erase)
        accounts.on_delete(files.erase)
        erasure = await stack.enter_async_context(open_erasure(database, accounts, privacy))
        readiness = Readiness(models, database)
        stack.push_async_callback(readiness.close)
        yield Services(
            settings=settings,
            database=database,
            runtime=runtime,
            audit=audit,
            accounts=accounts,
            privacy=privacy,
            limiter=limiter,
            moderator=moderator,
            models=models,
            model_administration=ModelAdministration(models, runtime, audit),
            answering=answering,
            responses=ResponseStore(database, privacy),
            conversations=conversations,
            attachments=AttachmentReader(),
            erasure=erasure,
            importer=importer,
            files=files,
            uploads=uploads,
            jobs=jobs,
            readiness=readiness,
        )


def services(request: Request) -> Services:
    """The services of the server that got ``request``."""
    return cast(Services, request.app.state.services)
