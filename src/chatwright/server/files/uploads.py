"""Files that arrive in parts, for what is too large or too unsteady for one request."""

from typing import IO, Final

import anyio.to_thread

from chatwright.server.database import Database
from chatwright.server.database.tables import StoredFile, Upload, UploadPart
from chatwright.server.errors import ApiError, not_found
from chatwright.server.files import repository
from chatwright.server.files.files import Files, shown_name
from chatwright.server.files.schemas import NewUpload
from chatwright.server.identifiers import new_id, now_ms
from chatwright.server.principal import Principal

MAX_PART_BYTES: Final = 64 << 20
_LIFE_MS: Final = 3_600_000


class Uploads:
    """Uploads of people; each becomes one of their files.

    Args:
        database: holds what has arrived.
        files: where they end.
    """

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    async def create(self, principal: Principal, wanted: NewUpload) -> Upload:
        """Begin an upload.

        Raises:
            ApiError: 413 where the whole file would be too large.
        """
        largest = self._files.vault.max_bytes
        if wanted.bytes > largest:
            raise ApiError(413, f"bytes: files may have {largest:,} bytes", code="file_too_large", param="bytes")
        now = now_ms()
        row = Upload(
            id=new_id("upload_"),
            user_id=principal.user_id,
            filename=shown_name(wanted.filename),
            purpose=wanted.purpose,
            mime_type=wanted.mime_type,
            size_bytes=wanted.bytes,
            status=repository.PENDING,
            created_ms=now,
            expires_ms=now + _LIFE_MS,
            file_expires_after_s=wanted.expires_after.seconds if wanted.expires_after else None,
        )
        async with self._database.write() as session:
            session.add(row)
        return row

    async def add_part(self, principal: Principal, upload_id: str, source: IO[bytes], size_bytes: int) -> UploadPart:
        """Take in a part.

        Raises:
            ApiError: 404 for no upload of theirs, 400 for one that has ended or where it is too much, 413, 507.
        """
        if size_bytes > MAX_PART_BYTES:
            raise ApiError(413, f"data: a part may have {MAX_PART_BYTES:,} bytes", code="part_too_large", param="data")
        await self._pending(principal, upload_id)
        part = UploadPart(id=new_id("part_"), upload_id=upload_id, size_bytes=size_bytes, created_ms=now_ms())
        vault = self._files.vault
        await anyio.to_thread.run_sync(vault.put, part.id, source)
        try:
            async with self._database.write() as session:
                upload = _usable(await repository.find_upload(session, principal.user_id, upload_id), upload_id)
                arrived = sum(row.size_bytes for row in await repository.parts_of(session, upload_id))
                if arrived + size_bytes > upload.size_bytes:
                    raise ApiError(
                        400,
                        f"the upload was announced with {upload.size_bytes:,} bytes; {arrived:,} have arrived and this "
                        f"part has {size_bytes:,}",
                        code="upload_too_large",
                        param="data",
                    )
                await self._files.check_room(session, principal, size_bytes)
                session.add(part)
        except BaseException:
            await anyio.to_thread.run_sync(vault.remove, [part.id])
            raise
        return part

    async def complete(
        self, principal: Principal, upload_id: str, part_ids: list[str], md5: str | None
    ) -> tuple[Upload, StoredFile]:
        """Make a file of the parts.

        Raises:
            ApiError: 404 for no upload of theirs, 400 where parts are unknown or the whole is not what was announced.
        """
        upload = await self._pending(principal, upload_id)
        async with self._database.read() as session:
            parts = {part.id: part for part in await repository.parts_of(session, upload_id)}
        _check_parts(upload, part_ids, parts)
        vault, file_id = self._files.vault, new_id("file-")
        kept = await anyio.to_thread.run_sync(vault.join, file_id, part_ids)
        now = now_ms()
        life = upload.file_expires_after_s
        file = StoredFile(
            id=file_id,
            user_id=principal.user_id,
            filename=upload.filename,
            purpose=upload.purpose,
            size_bytes=kept.size_bytes,
            sha256=kept.sha256,
            created_ms=now,
            expires_ms=None if life is None else now + life * 1000,
        )
        try:
            if md5 is not None and md5.lower() != kept.md5:
                raise ApiError(400, f"md5: the file's is {kept.md5}", code="checksum_mismatch", param="md5")
            async with self._database.write() as session:
                if not await repository.end_upload(session, upload_id, repository.COMPLETED, file_id=file_id):
                    raise _ended(upload_id)
                session.add(file)
        except BaseException:
            await anyio.to_thread.run_sync(vault.remove, [file_id])
            raise
        await anyio.to_thread.run_sync(vault.remove, list(parts))
        upload.status = repository.COMPLETED
        return upload, file

    async def cancel(self, principal: Principal, upload_id: str) -> Upload:
        """Give an upload up, and remove what has arrived. Raises as :meth:`complete`."""
        upload = await self._pending(principal, upload_id)
        async with self._database.write() as session:
            parts = [part.id for part in await repository.parts_of(session, upload_id)]
            if not await repository.end_upload(session, upload_id, repository.CANCELLED):
                raise _ended(upload_id)
        await anyio.to_thread.run_sync(self._files.vault.remove, parts)
        upload.status = repository.CANCELLED
        return upload

    async def _pending(self, principal: Principal, upload_id: str) -> Upload:
        async with self._database.read() as session:
            return _usable(await repository.find_upload(session, principal.user_id, upload_id), upload_id)


def _usable(upload: Upload | None, upload_id: str) -> Upload:
    if upload is None:
        raise not_found("upload", upload_id)
    if upload.status != repository.PENDING or upload.expires_ms <= now_ms():
        raise _ended(upload_id)
    return upload


def _ended(upload_id: str) -> ApiError:
    return ApiError(400, f"the upload {upload_id!r} is completed, cancelled or expired", code="upload_ended")


def _check_parts(upload: Upload, part_ids: list[str], parts: dict[str, UploadPart]) -> None:
    if len(set(part_ids)) < len(part_ids):
        raise ApiError(400, "part_ids names a part twice", code="invalid_value", param="part_ids")
    if unknown := next((part for part in part_ids if part not in parts), None):
        raise ApiError(400, f"part_ids: the upload has no part {unknown!r}", code="part_not_found", param="part_ids")
    size = sum(parts[part].size_bytes for part in part_ids)
    if size != upload.size_bytes:
        raise ApiError(
            400,
            f"the parts have {size:,} bytes together, and the upload was announced with {upload.size_bytes:,}",
            code="size_mismatch",
            param="part_ids",
        )
