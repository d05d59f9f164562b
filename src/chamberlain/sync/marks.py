"""Unread counts of those who listen, kept in memory and moved on with each event."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds, unread
from chamberlain.store.database import Database, position_of
from chamberlain.store.regimes import DECIDING
from chamberlain.store.tx import Change, Read
from chamberlain.store.unread import Count, Unread
from chamberlain.sync.log import Entry, RoomLog

KEPT: Final = 5_000


class Marks:
    """What users have not read of rooms."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kept: Cache[str, dict[str, Unread]] = Cache(KEPT, "unread counts")
        """By room, then by user: a public receipt names both, in this order."""
        self._drops = 0
        db.subscribe(self._changed)

    async def of(self, user_id: str, logs: Collection[RoomLog]) -> dict[str, Unread]:
        """What the user has not read of these rooms, by room id, everything that is in the logs counted."""
        found: dict[str, Unread] = {}
        missing: list[str] = []
        for log in logs:
            kept = self._kept.get(log.room_id)
            mark = None if kept is None else kept.get(user_id)
            if mark is None or mark.position < log.floor:
                missing.append(log.room_id)
            else:
                self._move(mark, user_id, log)
                found[log.room_id] = mark
        if missing:
            drops = self._drops
            loaded = await self._db.read(_load_at_once, user_id, missing)
            if loaded is None:
                loaded = await self._db.snapshot(unread.load, user_id, missing)
            self.learn(user_id, loaded, drops)
            found.update(loaded)
        return found

    @property
    def drops(self) -> int:
        """How often something was forgotten: what was read before the latest time is not to be kept."""
        return self._drops

    def learn(self, user_id: str, loaded: Mapping[str, Unread], drops: int) -> None:
        """Keep what was read from the database, unless something was forgotten since `drops` was asked for."""
        if drops == self._drops:
            for room_id, mark in loaded.items():
                self._keep(room_id, user_id, mark)

    def _keep(self, room_id: str, user_id: str, mark: Unread) -> None:
        kept = self._kept.get(room_id)
        if kept is None:
            self._kept.set(room_id, kept := {})
        kept[user_id] = mark

    def _move(self, mark: Unread, user_id: str, log: RoomLog) -> None:
        newest = log.newest()
        if newest is None or newest.position <= mark.position:
            return
        for entry in log.since(mark.position, newest.position):
            _count(mark, user_id, entry)
        mark.position = newest.position

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.RECEIPT:
                self._drop(change.entity, change.ref)
            elif change.kind == kinds.PRIVATE_RECEIPT or change.kind == kinds.MEMBERSHIP:
                self._drop(change.ref, change.entity)
            elif change.kind == kinds.ACCOUNT_DATA and change.ref in DECIDING:
                self._drops += 1
                self._kept.clear()

    def _drop(self, room_id: str | None, user_id: str | None) -> None:
        self._drops += 1
        kept = self._kept.get(room_id or "")
        if kept is not None:
            kept.pop(user_id or "", None)


async def _load_at_once(tx: Read, user_id: str, rooms: Sequence[str]) -> dict[str, Unread] | None:
    """What `unread.load` gives; None where something was written meanwhile, so that it may not fit together."""
    before = await position_of(tx)
    loaded = await unread.load(tx, user_id, rooms)
    return loaded if await position_of(tx) == before else None


def _count(mark: Unread, user_id: str, entry: Entry) -> None:
    thread = entry.event.thread
    if entry.event.sender == user_id and entry.event.type == "m.room.member":
        return
    if entry.event.sender == user_id:
        if thread is None:
            mark.main = Count()
        else:
            mark.threads.pop(thread, None)
        return
    notify = highlight = 0
    if not mark.own_rules:
        notify, highlight = int(entry.notify_all), int(entry.highlight_all)
    own = entry.notified.get(user_id)
    if own is not None:
        notify += own[0]
        highlight += own[1]
    if notify or highlight:
        (mark.main if thread is None else mark.in_thread(thread)).add(notify, highlight)
