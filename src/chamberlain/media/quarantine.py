"""Keeping files from everybody, without deleting them: what has the same bytes is the same file."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from chamberlain.matrix.ids import parse_mxc
from chamberlain.runtime.clock import Clock
from chamberlain.store import quarantine
from chamberlain.store.database import Database
from chamberlain.store.quarantine import FileRow, Wanted

AT_ONCE: Final = 200
"""Files, or events that name some, of one transaction."""


class _Content(msgspec.Struct):
    url: Any = None
    info: Any = None


class _Event(msgspec.Struct):
    content: _Content = msgspec.field(default_factory=_Content)


class Quarantine:
    """Puts files into quarantine and lets them out."""

    def __init__(self, db: Database, clock: Clock, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self._server_name = server_name

    def one(self, origin: str, media_id: str) -> Wanted:
        """A single file, of this server or of another one."""
        if origin == self._server_name:
            return Wanted((media_id,))
        return Wanted(fetched={origin: (media_id,)})

    async def find(self, origin: str, media_id: str) -> FileRow | None:
        """What is known of a file; None where it is neither here nor quarantined."""
        if origin == self._server_name:
            return await self._db.read(quarantine.find_upload, media_id)
        return await self._db.read(quarantine.find_fetched, origin, media_id)

    async def count(self, wanted: Wanted) -> int:
        """How many files `put` would quarantine."""
        return await self._db.snapshot(quarantine.count_free, wanted)

    async def put(self, wanted: Wanted, by: str) -> int:
        """Have nobody get these files, nor any with the same bytes, now or later; how many could be had before.

        Protected uploads stay as they are.
        """
        return await self._db.write(quarantine.put, wanted, by, self._clock.now())

    async def lift(self, wanted: Wanted) -> int:
        """Have everybody get these files again, and those with the same bytes; how many were quarantined."""
        return await self._db.write(quarantine.lift, wanted)

    async def protect(self, media_id: str, *, safe: bool) -> bool:
        """Have an upload stay out of quarantine from now on, or not; False where there is none."""
        return await self._db.write(quarantine.set_safe, media_id, safe)

    async def of_user(self, user_id: str) -> AsyncIterator[Wanted]:
        """All that a user has uploaded, in parts."""
        after = ""
        while ids := await self._db.read(quarantine.uploads_of, user_id, after, AT_ONCE):
            yield Wanted(ids)
            after = ids[-1]

    async def of_room(self, room_id: str) -> AsyncIterator[Wanted]:
        """All that the unencrypted events of a room show, in parts."""
        after = quarantine.FIRST_POSITION
        while found := await self._db.snapshot(quarantine.events_with_urls, room_id, after, AT_ONCE):
            yield self._named_by([client for _, client in found])
            after = found[-1][0]

    def _named_by(self, events: list[bytes]) -> Wanted:
        uploads: set[str] = set()
        fetched: dict[str, set[str]] = {}
        for event in events:
            content = msgspec.json.decode(event, type=_Event).content
            thumbnail = content.info.get("thumbnail_url") if isinstance(content.info, dict) else None
            for uri in (content.url, thumbnail):
                origin, media_id = parse_mxc(uri) or ("", "")
                if origin == self._server_name:
                    uploads.add(media_id)
                elif origin:
                    fetched.setdefault(origin, set()).add(media_id)
        return Wanted(uploads, fetched)
