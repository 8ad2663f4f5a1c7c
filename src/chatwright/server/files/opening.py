"""The services of files, and what removes now and then what nobody needs any more."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from chatwright.server.database import Database
from chatwright.server.files.files import Files
from chatwright.server.files.uploads import Uploads
from chatwright.server.files.vault import Vault
from chatwright.server.settings import ServerSettings

log = logging.getLogger(__name__)
_SWEEP_EVERY_S: Final = 1800.0


@asynccontextmanager
async def open_files(settings: ServerSettings, database: Database) -> AsyncIterator[tuple[Files, Uploads]]:
    """Files and uploads, swept while the block lasts.

    Args:
        settings: where files lie and how large they may be.
        database: whose they are.
    """
    vault = Vault(settings.home.expanduser() / "files", max_bytes=settings.max_file_bytes)
    files = Files(database, vault, max_user_bytes=settings.max_user_files_bytes)
    sweeping = asyncio.create_task(_sweep(files))
    try:
        yield files, Uploads(database, files)
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep(files: Files) -> None:
    """Every server process does this: what another has removed already is no error."""
    while True:
        try:
            await files.sweep()
        except Exception:
            log.exception("files could not be swept; they are the next time")
        await asyncio.sleep(_SWEEP_EVERY_S)
