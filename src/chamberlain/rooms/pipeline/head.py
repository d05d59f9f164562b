"""The head of a room: what the next event is built on, and the part of the state that was asked for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from chamberlain.matrix.auth_rules import PowerLevels, power_levels_of
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY
from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.events import Event
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import RoomVersion, get_room_version
from chamberlain.rooms.pipeline.keys import StateKeys
from chamberlain.runtime.cache import Cache
from chamberlain.store import events, kinds, rooms
from chamberlain.store.database import Database
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import get_many
from chamberlain.store.tx import Change, Read

ROOMS_KEPT: Final = 4_000
STATE_KEPT: Final = 5_000
LEVEL_KEYS: Final = (CREATE_KEY, POWER_LEVELS_KEY)
"""The state that decides over power."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An event with its number and its auth height."""

    event: Event
    nid: int
    height: int


class Extremity(msgspec.Struct, frozen=True, array_like=True):
    """A forward extremity of a room."""

    nid: int
    event_id: str
    depth: int
    height: int


class Head:
    """Where a room stands. `state` holds what has been asked for; None is kept for a key that the state lacks."""

    __slots__ = (
        "created_at",
        "creator",
        "extremities",
        "head_seq",
        "highlight_count",
        "is_partial",
        "line",
        "notify_count",
        "room_id",
        "state",
        "summary",
        "thread_notify_count",
        "ver",
        "version",
    )

    def __init__(self, row: rooms.RoomRow, summary: dict[str, Any]) -> None:
        self.room_id = row.room_id
        self.version: RoomVersion = get_room_version(row.version)
        self.creator = row.creator
        self.created_at = row.created_at
        self.head_seq = row.head_seq
        self.line = row.line
        self.ver = row.ver
        self.notify_count = row.notify_count
        self.highlight_count = row.highlight_count
        self.thread_notify_count = row.thread_notify_count
        self.is_partial = bool(row.is_partial)
        self.extremities: Sequence[Extremity] = msgspec.json.decode(row.extremities, type=list[Extremity])
        self.state: dict[StateKey, Stored | None] = {}
        self.summary = summary

    @property
    def is_new(self) -> bool:
        """Whether the room is not in the database yet."""
        return self.head_seq < 0

    @property
    def point(self) -> Point:
        """The point of the current state."""
        return self.line, self.ver


def power_levels_in(state: Callable[[StateKey], Stored | None]) -> PowerLevels:
    """The power levels that hold where `state` gives what was loaded, the events of `LEVEL_KEYS` among it."""
    return power_levels_of({key: stored.event for key in LEVEL_KEYS if (stored := state(key)) is not None})


async def load_head(tx: Read, room_id: str) -> Head | None:
    """Give a room's head from the database."""
    row = await rooms.find_room(tx, room_id)
    if row is None:
        return None
    return Head(row, await rooms.find_summary(tx, room_id) or {})


async def load_state(
    tx: Read, point: Point, keys: Sequence[StateKey]
) -> tuple[dict[StateKey, tuple[Event, int, int] | None], dict[StateKey, int]]:
    """Give the state events at a point under these keys, and the numbers of those keys that have one."""
    numbers = await find_keys(tx, keys)
    nids = await get_many(tx, point, numbers.values())
    found = await events.list_events_by_nid(tx, nids.values()) if nids else {}
    return {key: found.get(nids.get(numbers.get(key, 0), 0)) for key in keys}, numbers


class Heads:
    """The heads of the rooms in use."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.keys = StateKeys(db)
        self._kept: Cache[str, Head] = Cache(ROOMS_KEPT, "room heads")
        db.subscribe(self._changed)

    async def find(self, room_id: str) -> Head | None:
        """Give a room's head, or None where there is no such room."""
        return await self._kept.fetch(room_id, self._read)

    async def _read(self, room_id: str) -> Head | None:
        return await self._db.read(load_head, room_id)

    async def get(self, room_id: str) -> Head:
        """Give a room's head.

        Raises:
            NotFound: there is no such room.
        """
        head = await self.find(room_id)
        if head is None:
            raise NotFound("There is no such room")
        return head

    async def load(self, head: Head, keys: Iterable[StateKey]) -> None:
        """Have these keys of the current state in `head.state`."""
        wanted = list(keys)
        while missing := [key for key in wanted if key not in head.state]:
            if head.is_new:
                head.state.update(dict.fromkeys(missing))
                return
            point = head.point
            found, numbers = await self._db.read(load_state, point, missing)
            self.keys.note(missing, numbers)
            if head.point != point:
                continue
            if len(head.state) + len(found) > STATE_KEPT:
                kept = (*LEVEL_KEYS, *wanted)
                head.state = {key: head.state[key] for key in kept if key in head.state}
            for key, entry in found.items():
                head.state[key] = None if entry is None else Stored(*entry)

    async def current(self, room_id: str, kind: str, state_key: str = "") -> Event | None:
        """Give one event of a room's current state, or None.

        Raises:
            NotFound: there is no such room.
        """
        head = await self.get(room_id)
        key = (kind, state_key)
        if key not in head.state:
            await self.load(head, (key,))
        stored = head.state.get(key)
        return None if stored is None else stored.event

    def keep(self, head: Head) -> None:
        """Keep the head of a room that was just made."""
        self._kept.set(head.room_id, head)

    def moved(self, head: Head) -> None:
        """A unit was committed onto this head: one that was read meanwhile may not know of it."""
        if self._kept.get(head.room_id) is not head:
            self.forget(head.room_id)

    def forget(self, room_id: str) -> None:
        """Read the room's head from the database next time."""
        self._kept.pop(room_id)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # Without a payload the event came through another worker.
            if (change.kind == kinds.EVENT and change.payload is None) or change.kind == kinds.ROOM:
                self._kept.pop(change.entity)
