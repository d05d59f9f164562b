"""Files of other servers: fetched when they are first asked for, and kept (client-server API, Content repository)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakValueDictionary

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import LimitExceeded, MatrixError, NotFound
from chamberlain.matrix.ids import is_valid_server_name
from chamberlain.media.accesses import Accesses
from chamberlain.media.blobs import Blob, BlobStore
from chamberlain.media.ports import RemoteFile, RemoteMedia
from chamberlain.media.stored import StoredFile
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import remote_media
from chamberlain.store.database import Database
from chamberlain.store.remote_media import RemoteMediaRow, Unread

AT_ONCE: Final = 128
"""How many files are fetched at once; the others wait."""
AT_ONCE_OF_ONE: Final = 8
"""How many of them may be of the same server, so that a slow one does not take all places."""
MAX_WAITING: Final = 2_000
"""How many files may be fetched or wait; more requests are told to come again."""
ROWS: Final = 500
"""So many files are forgotten in one transaction."""
FIRST_S: Final = 600.0
EVERY_S: Final = 3_600.0
DAY_MS: Final = 24 * 3_600_000

_Key = tuple[str, str]
"""Origin and media id."""
_Fetched = RemoteMediaRow | MatrixError

_log = get_logger("media")


class RemoteFiles:
    """Fetches and keeps files."""

    def __init__(
        self,
        db: Database,
        blobs: BlobStore,
        clock: Clock,
        tasks: Tasks,
        remote: RemoteMedia,
        *,
        max_bytes: int,
        keep_days: int,
        freeze: bool,
    ) -> None:
        """`keep_days`: files that nobody read for so long are forgotten, 0 for never. `freeze`: as of `Files`."""
        self._db = db
        self._blobs = blobs
        self._clock = clock
        self._tasks = tasks
        self._remote = remote
        self._max_bytes = max_bytes
        self._keep_days = keep_days
        self._freeze = freeze
        self._under_way: dict[_Key, asyncio.Task[_Fetched]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._places_of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.accesses = Accesses(db, clock, remote_media.touch)

    async def get(
        self, origin: str, media_id: str, wait_ms: int, *, authenticated: bool, fetch: bool
    ) -> StoredFile:
        """A file of another server; one that is not here is fetched, where `fetch` says so, once for all who ask.

        Raises:
            NotFound: there is no such file for whoever asks.
            MatrixError: M_NOT_YET_UPLOADED (504), M_TOO_LARGE (502), or M_UNKNOWN (502) where its server gives no
                usable answer.
            LimitExceeded: too many files are being fetched.
        """
        if not is_valid_server_name(origin):
            raise NotFound("There is no such file")
        row = await self._db.read(remote_media.find, origin, media_id)
        if row is not None and row.quarantined_by is not None:
            raise NotFound("There is no such file")
        if row is None or not await self._blobs.has(row.sha256):
            if not fetch or (self._freeze and not authenticated):
                raise NotFound("There is no such file")
            row = await self._shared((origin, media_id), wait_ms)
        if row.quarantined_by is not None or (row.frozen and not authenticated):
            raise NotFound("There is no such file")
        self.accesses.note((origin, media_id))
        return StoredFile(row.content_type, row.file_name, row.size, row.sha256)

    async def _shared(self, key: _Key, wait_ms: int) -> RemoteMediaRow:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MAX_WAITING:
                raise LimitExceeded(1_000, "Too many files are being fetched")
            task = self._tasks.spawn("fetch a remote file", self._fetch(key, wait_ms))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        fetched = await asyncio.shield(task)
        if isinstance(fetched, MatrixError):
            raise fetched
        return fetched

    async def _fetch(self, key: _Key, wait_ms: int) -> _Fetched:
        of_one = self._places_of.setdefault(key[0], asyncio.Semaphore(AT_ONCE_OF_ONE))
        async with of_one, self._places:
            try:
                file = await self._remote.fetch(*key, wait_ms)
                try:
                    blob = await self._blobs.write(_bounded(file.chunks, self._max_bytes))
                finally:
                    await file.close()
            except MatrixError as error:
                return error
        try:
            unneeded = await self._db.write(remote_media.put, self._row(key, file, blob))
            row = await self._db.read(remote_media.find, *key)
        finally:
            self._blobs.release(blob)
        await self._blobs.remove(unneeded)
        return row or NotFound("There is no such file")

    def _row(self, key: _Key, file: RemoteFile, blob: Blob) -> RemoteMediaRow:
        now = self._clock.now()
        return RemoteMediaRow(
            origin=key[0],
            media_id=key[1],
            content_type=file.content_type,
            file_name=file.file_name,
            size=blob.size,
            sha256=blob.sha256,
            fetched_at=now,
            last_access_at=now,
            frozen=self._freeze,
        )

    async def count_unread(self, before: int) -> Unread:
        """What `forget_unread` would forget."""
        return await self._db.snapshot(remote_media.count_unread, before)

    async def forget_unread(self, before: int) -> int:
        """Forget the files that nobody read since a time (ms), but for quarantined ones; how many they were.

        They are fetched again when somebody asks for them.
        """
        await self.accesses.flush()
        forgotten = 0
        while True:
            count, unneeded = await self._db.write(remote_media.delete_unread, before, ROWS)
            await self._blobs.remove(unneeded)
            forgotten += count
            if count < ROWS:
                return forgotten

    async def prune_forever(self) -> None:
        """Forget, every hour, what nobody read for the number of days in the settings."""
        await self._clock.sleep(FIRST_S)
        while self._keep_days:
            try:
                await self.forget_unread(self._clock.now() - self._keep_days * DAY_MS)
            except Exception:
                _log.exception("forgetting remote files failed")
            await self._clock.sleep(EVERY_S)


async def _bounded(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    seen = 0
    async for chunk in chunks:
        seen += len(chunk)
        if seen > max_bytes:
            raise MatrixError(ErrCode.TOO_LARGE, "The file is larger than this server takes", status=502)
        yield chunk
