"""For which servers the events are that came so far, read from the change stream; and what the database knows of it."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final

from chamberlain.federation.outbound.audience import (
    Room,
    membership_in,
    move_on,
    room_before,
    server_in,
    turns_away,
)
from chamberlain.store import outbox_events, outbox_queue
from chamberlain.store.database import Database
from chamberlain.store.leases import Lease
from chamberlain.store.outbox_events import Arrival, Arrivals
from chamberlain.store.outbox_queue import Window
from chamberlain.store.state.lines import Point

BATCH: Final = 200
ROOMS_KEPT: Final = 5_000
ROWS: Final = 500
"""So many are written in one transaction."""
LAZY: Final = 1_000
"""The cursor is written when it has moved so far, though there is nothing else to write."""

Tell = Callable[[Arrival, Sequence[str]], None]
"""Called with an event and the servers that it is for."""
Newcomers = Callable[[str, Sequence[str]], None]
"""Called with a room and servers that are in it from now on."""


class Ledger:
    """Follows the change stream for the servers of one shard.

    `cursor`: what came up to there has been told of. The database may know less of it; what it has is true together
    with the cursor that it has, so that a restart begins there.
    """

    def __init__(
        self, db: Database, lease: Lease, cursor: int, is_ours: Callable[[str], bool], newcomers: Newcomers
    ) -> None:
        self._db = db
        self._lease = lease
        self._is_ours = is_ours
        self._newcomers = newcomers
        self._rooms: dict[str, Room] = {}
        self._points: dict[str, Point] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._newest: dict[str, int] = {}
        self._forgotten: set[str] = set()
        """Rooms that were purged since the last look."""
        self._saving = asyncio.Lock()
        self._saved = cursor
        self.cursor = cursor
        self.federated: set[str] = set()
        """The rooms with servers of the shard."""

    async def load(self) -> None:
        """Find out which rooms have other servers."""
        self.federated.update(await self._db.snapshot(outbox_events.list_rooms_with_others))

    async def read_on(self, tell: Tell) -> bool:
        """Tell of what came next; whether there is more. Nothing is told twice, and nothing is between two tellings."""
        for room_id in self._forgotten:
            self._rooms.pop(room_id, None)
            self._points.pop(room_id, None)
            self._forget_unsaved(room_id)
        self._forgotten.clear()
        arrivals = await self._db.snapshot(outbox_events.list_arrivals, self.cursor, BATCH, self._points)
        turned_away = await self._turned_away(arrivals.events)
        by_room: dict[str, list[Arrival]] = {}
        for event in arrivals.events:
            by_room.setdefault(event.room_id, []).append(event)
        for room_id, events in by_room.items():
            self._move_on(room_id, events, arrivals)
        for event in arrivals.events:
            room = self._rooms[event.room_id]
            if event.event_id in turned_away:
                self._open(event, room)
            if event.outgoing and (servers := list(room.audience(event))):
                self._newest[event.room_id] = event.position
                tell(event, servers)
        for room_id in by_room:
            self._rooms[room_id].forget_past(arrivals.upto)
        self.cursor = arrivals.upto
        return not arrivals.is_all

    @property
    def must_be_saved(self) -> bool:
        """Whether servers have come or gone of which the database does not know: it is asked for events by that."""
        return bool(self._windows)

    async def save(self, safe: int, *, lazily: bool = False) -> int:
        """Have the database know for whom what came so far is, and give the position of the last of it.

        A restart begins after `safe`.
        """
        async with self._saving:
            cursor = self.cursor
            safe = min(safe, cursor)
            if self._windows or self._newest or safe - self._saved > (LAZY if lazily else 0):
                windows, self._windows = self._windows, {}
                newest, self._newest = self._newest, {}
                try:
                    await self._write(safe, windows, newest)
                except BaseException:
                    self._windows = windows | self._windows
                    self._newest = newest | self._newest
                    raise
                self._saved = safe
            return cursor

    async def _write(self, safe: int, windows: dict[tuple[str, str], Window], newest: dict[str, int]) -> None:
        """The cursor goes last: what is written before it does no harm to who reads from the old one on."""
        rows, rooms = iter(windows.items()), iter(newest.items())
        while True:
            some, others = dict(islice(rows, ROWS)), dict(islice(rooms, ROWS))
            is_last = len(some) < ROWS and len(others) < ROWS
            cursor = safe if is_last else self._saved
            await self._db.write(outbox_queue.record, self._lease, cursor, some, others)
            if is_last:
                return

    def forget_room(self, room_id: str) -> None:
        """The room was purged: where it comes again, it comes anew."""
        self._forgotten.add(room_id)
        self._forget_unsaved(room_id)

    def _forget_unsaved(self, room_id: str) -> None:
        self.federated.discard(room_id)
        self._newest.pop(room_id, None)
        for key in [key for key in self._windows if key[1] == room_id]:
            del self._windows[key]

    def forget_rooms(self) -> None:
        """Let memory not grow for ever: what is asked for again is read. To be called when all is saved."""
        if len(self._rooms) > ROOMS_KEPT and not self._windows:
            self._rooms.clear()
            self._points.clear()

    def _move_on(self, room_id: str, events: Sequence[Arrival], arrivals: Arrivals) -> None:
        now = arrivals.rooms.get(room_id)
        room = self._rooms.get(room_id)
        if now is None:
            return
        if room is None:
            room = self._rooms[room_id] = room_before(now, self.cursor, self._is_ours)
        changed = move_on(
            room, now, events, self.cursor, arrivals.upto, is_all=arrivals.is_all, is_ours=self._is_ours
        )
        if now.is_partial:
            self._points.pop(room_id, None)
        else:
            self._points[room_id] = room.point
        self._windows.update({(server, room_id): window for server, window in changed.items()})
        if room.servers:
            self.federated.add(room_id)
        else:
            self.federated.discard(room_id)
        come = [server for server, window in changed.items() if window.until is None]
        if come:
            self._newcomers(room_id, come)

    def _open(self, event: Arrival, room: Room) -> None:
        """Have the server of an invited user hear of the end of the invite, though it is not in the room."""
        server = server_in(event.state_key)
        if server not in room.servers and self._is_ours(server):
            window = Window(event.position - 1, event.position)
            room.windows[server] = self._windows[server, event.room_id] = window

    async def _turned_away(self, events: Sequence[Arrival]) -> set[str]:
        """Those of the events that end an invite or a knock of another server's user."""
        found = set()
        for event in events:
            if event.replaces is not None and turns_away(event):
                before = await self._db.read(outbox_events.find_client_form, event.replaces)
                if before is not None and membership_in(before) in ("invite", "knock"):
                    found.add(event.event_id)
        return found
