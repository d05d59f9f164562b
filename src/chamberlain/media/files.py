"""Uploading and finding files (client-server API, Content repository)."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, InvalidParam, LimitExceeded, MatrixError, NotFound
from chamberlain.matrix.ids import is_media_id
from chamberlain.media.accesses import Accesses
from chamberlain.media.blobs import Blob, BlobStore
from chamberlain.media.remote_files import RemoteFiles
from chamberlain.media.stored import StoredFile
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import media
from chamberlain.store.database import Database
from chamberlain.store.media import MediaRow
from chamberlain.store.tx import Change

UNUSED_LIFETIME_MS: Final = 24 * 3_600_000
"""How long an id waits for its file."""
MAX_WAITING: Final = 50
"""How many of a user's ids may wait for their files."""
MAX_WAIT_MS: Final = 60_000
"""How long a download waits for its file at most, whatever it asks for."""
MAX_NAME_LENGTH: Final = 255

_ODD = re.compile(r"[^\x20-\x7e]")


class Files:
    """The files of this server's users, and the way to those of others."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        clock: Clock,
        rng: Rng,
        server_name: str,
        remote: RemoteFiles,
        *,
        freeze: bool,
    ) -> None:
        """`freeze`: new files are not served without an access token."""
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._rng = rng
        self._server_name = server_name
        self._freeze = freeze
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._remote = remote
        self.accesses = Accesses(db, clock, media.touch)

    def uri(self, media_id: str) -> str:
        """The `mxc://` URI of a file."""
        return f"mxc://{self._server_name}/{media_id}"

    async def upload(
        self, user_id: str, chunks: AsyncIterator[bytes], content_type: str, file_name: str | None
    ) -> str:
        """Keep a file and give its media id.

        Raises:
            InvalidParam: the name or the type is too long, or no name or type at all.
        """
        content_type, file_name = _check(content_type, file_name)
        blob = await self._blobs.write(chunks)
        try:
            row = self._row(self._rng.token(18), user_id, content_type, file_name, blob)
            await self._db.write(media.add, row)
        finally:
            self._blobs.release(blob)
        return row.media_id

    async def create(self, user_id: str) -> tuple[str, int]:
        """Make a media id that waits for its file; the id and when it expires (ms).

        Raises:
            LimitExceeded: too many ids of the user are waiting.
        """
        row = self._row(self._rng.token(18), user_id, "application/octet-stream", None, None)
        expired = row.created_at - UNUSED_LIFETIME_MS
        if not await self._db.write(media.reserve, row, expired, MAX_WAITING):
            raise LimitExceeded(60_000, "Too many files wait for their upload")
        return row.media_id, row.created_at + UNUSED_LIFETIME_MS

    async def fill(
        self,
        user_id: str,
        server_name: str,
        media_id: str,
        chunks: AsyncIterator[bytes],
        content_type: str,
        file_name: str | None,
    ) -> None:
        """Keep a file under an id that was made for it.

        Raises:
            NotFound: there is no such id, or it has expired.
            Forbidden: it was made by another user.
            MatrixError: M_CANNOT_OVERWRITE_MEDIA where there is a file already.
            InvalidParam: the name or the type is too long.
        """
        await self._check_waiting(user_id, server_name, media_id)
        content_type, file_name = _check(content_type, file_name)
        blob = await self._blobs.write(chunks)
        try:
            row = self._row(media_id, user_id, content_type, file_name, blob)
            if not await self._db.write(media.fill, row):
                raise MatrixError(ErrCode.CANNOT_OVERWRITE_MEDIA, "There is a file already")
        finally:
            self._blobs.release(blob)

    async def _check_waiting(self, user_id: str, server_name: str, media_id: str) -> None:
        row = await self._find(server_name, media_id)
        if row is None:
            raise NotFound("Unknown media id")
        if row.user_id != user_id:
            raise Forbidden("This media id was made by another user")
        if row.sha256 is not None:
            raise MatrixError(ErrCode.CANNOT_OVERWRITE_MEDIA, "There is a file already")

    def _row(
        self, media_id: str, user_id: str, content_type: str, file_name: str | None, blob: Blob | None
    ) -> MediaRow:
        now = self._clock.now()
        return MediaRow(
            media_id=media_id,
            user_id=user_id,
            content_type=content_type,
            file_name=file_name,
            size=None if blob is None else blob.size,
            sha256=None if blob is None else blob.sha256,
            created_at=now,
            last_access_at=now,
            frozen=self._freeze,
        )

    async def get(
        self, server_name: str, media_id: str, wait_ms: int, *, authenticated: bool, allow_remote: bool = True
    ) -> StoredFile:
        """A file, waiting up to `wait_ms` for one that is being uploaded.

        One of another server is fetched where it is not here yet, unless `allow_remote` forbids that.

        Raises:
            NotFound: there is no such file for whoever asks.
            MatrixError: M_NOT_YET_UPLOADED after waiting in vain; for a file of another server also what
                `RemoteFiles.get` raises.
        """
        wait_ms = min(max(wait_ms, 0), MAX_WAIT_MS)
        if server_name != self._server_name and is_media_id(media_id):
            return await self._remote.get(
                server_name, media_id, wait_ms, authenticated=authenticated, fetch=allow_remote
            )
        row = await self._find(server_name, media_id)
        if row is not None and row.sha256 is None:
            row = await self._wait(server_name, media_id, wait_ms)
        if row is None or row.quarantined_by is not None or (row.frozen and not authenticated):
            raise NotFound("There is no such file")
        self.accesses.note(media_id)
        assert row.size is not None and row.sha256 is not None
        return StoredFile(row.content_type, row.file_name, row.size, row.sha256)

    async def _find(self, server_name: str, media_id: str) -> MediaRow | None:
        if server_name != self._server_name or not is_media_id(media_id):
            return None
        row = await self._db.read(media.find, media_id)
        if row is not None and row.sha256 is None:
            return None if row.created_at + UNUSED_LIFETIME_MS <= self._clock.now() else row
        return row

    async def _wait(self, server_name: str, media_id: str, wait_ms: int) -> MediaRow | None:
        arrived = asyncio.Event()
        self._waiters.setdefault(media_id, set()).add(arrived)
        timer = self._clock.call_later(wait_ms / 1000, arrived.set)
        try:
            row = await self._find(server_name, media_id)
            if row is not None and row.sha256 is None:
                await arrived.wait()
                row = await self._find(server_name, media_id)
        finally:
            timer.cancel()
            self._waiters[media_id].discard(arrived)
            if not self._waiters[media_id]:
                del self._waiters[media_id]
        if row is not None and row.sha256 is None:
            raise MatrixError(ErrCode.NOT_YET_UPLOADED, "The file has not been uploaded yet")
        return row

    def heard(self, changes: Sequence[Change]) -> None:
        """Wake the downloads that wait for what was uploaded."""
        if self._waiters:
            for change in changes:
                for arrived in self._waiters.get(change.ref or "", ()):
                    arrived.set()

    async def read(self, file: StoredFile, start: int, length: int) -> bytes | AsyncIterator[bytes]:
        """A part of the bytes of a file that is there.

        Raises:
            NotFound: its bytes are gone from the disk.
        """
        try:
            return await self._blobs.read(file.sha256, start, length)
        except FileNotFoundError:
            raise NotFound("The bytes of this file are missing") from None

    async def delete(self, media_ids: list[str]) -> list[str]:
        """Delete files, and their bytes where no other file has the same; the ids of those that existed."""
        deleted, unneeded = await self._db.write(media.delete_many, media_ids)
        await self._blobs.remove(unneeded)
        return deleted

    async def list_of(self, user_id: str) -> list[MediaRow]:
        """The files of a user, the oldest first."""
        return await self._db.snapshot(media.list_of, user_id)


def _check(content_type: str, file_name: str | None) -> tuple[str, str | None]:
    """The type and the name as they are kept."""
    content_type = content_type.strip() or "application/octet-stream"
    if len(content_type) > MAX_NAME_LENGTH or _ODD.search(content_type):
        raise InvalidParam("Not a content type")
    if file_name is not None and len(file_name) > MAX_NAME_LENGTH:
        raise InvalidParam(f"A file name has at most {MAX_NAME_LENGTH} characters")
    return content_type, file_name or None
