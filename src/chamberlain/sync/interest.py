"""What one listening user has to be told of: kept up by the change stream, so that asking it costs no query."""

import asyncio
from collections import deque
from typing import Any, Final, NamedTuple

from chamberlain.store import kinds
from chamberlain.sync.log import RoomLog

NOTES_KEPT: Final = 300
_OF_DEVICE: Final = frozenset({kinds.TO_DEVICE, kinds.ONE_TIME_KEYS})


class Note(NamedTuple):
    """A change that concerns this user alone, or one that they hear of through no room."""

    position: int
    kind: str
    ref: str | None
    payload: Any = None


class Interest:
    """One user who listens on this worker.

    `floor`: what came after this position is in `touched` and `notes`; for older tokens ask the database.
    `touched`: the rooms with news, each with the position of its newest, the newest last.
    `typed`, `present`: the same for rooms in which typing changed, and for users whose presence did.
    """

    __slots__ = (
        "access",
        "ephemeral",
        "ephemeral_floor",
        "floor",
        "ignored",
        "is_loaded",
        "joined",
        "notes",
        "present",
        "touched",
        "typed",
        "user_id",
        "waiters",
    )

    def __init__(self, user_id: str, ephemeral: int) -> None:
        self.user_id = user_id
        self.floor = 0
        self.is_loaded = False
        self.joined: dict[str, RoomLog] = {}
        self.touched: dict[str, int] = {}
        self.notes: deque[Note] = deque()
        self.typed: dict[str, int] = {}
        self.present: dict[str, int] = {}
        self.ephemeral = ephemeral
        self.ephemeral_floor = ephemeral
        self.ignored: frozenset[str] | None = None
        """Whom the user ignores; None: to be read."""
        self.access = 0
        """How often tokens or rights of the user changed."""
        self.waiters: set[asyncio.Future[None]] = set()

    def enter(self, log: RoomLog) -> None:
        """The user is in a room from now on."""
        self.joined[log.room_id] = log
        log.active.add(self)

    def leave(self, room_id: str) -> RoomLog | None:
        """The user is not in a room any more; gives its log where they were."""
        log = self.joined.pop(room_id, None)
        self.touched.pop(room_id, None)
        self.typed.pop(room_id, None)
        if log is not None:
            log.active.discard(self)
        return log

    def touch(self, room_id: str, position: int) -> None:
        """There is news in a room."""
        self.touched.pop(room_id, None)
        self.touched[room_id] = position

    def typing_moved(self, room_id: str, position: int) -> None:
        """Somebody in a room began or ceased to type."""
        self.typed.pop(room_id, None)
        self.typed[room_id] = self.ephemeral = position

    def presence_moved(self, user_id: str, position: int) -> None:
        """Somebody's presence is another one."""
        self.present.pop(user_id, None)
        self.present[user_id] = self.ephemeral = position

    def note(self, note: Note) -> None:
        """There is news for the user."""
        notes = self.notes
        later: list[Note] = []
        while notes and notes[-1].position > note.position:
            later.append(notes.pop())
        notes.append(note)
        notes.extend(reversed(later))
        if len(notes) > NOTES_KEPT:
            self.floor = max(self.floor, notes.popleft().position)

    def wake(self) -> None:
        """Let everyone who waits look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def has_news(self, device_id: str | None, since: int, ephemeral: int) -> bool:
        """Whether anything came for this device of the user after these places, both not before the floors."""
        if self.ephemeral > ephemeral:
            return True
        if self.touched and self.touched[next(reversed(self.touched))] > since:
            return True
        for note in reversed(self.notes):
            if note.position <= since:
                return False
            if note.kind not in _OF_DEVICE or note.ref == device_id:
                return True
        return False

    def rooms_since(self, since: int) -> list[str]:
        """The rooms with news after a position."""
        return _newer(self.touched, since)

    def typed_since(self, ephemeral: int) -> list[str]:
        """The rooms in which typing changed after a place."""
        return _newer(self.typed, ephemeral)

    def present_since(self, ephemeral: int) -> list[str]:
        """The users whose presence changed after a place."""
        return _newer(self.present, ephemeral)

    def notes_since(self, since: int, upto: int) -> list[Note]:
        """The notes at since < position <= upto, the oldest first."""
        found: list[Note] = []
        for note in reversed(self.notes):
            if note.position <= since:
                break
            if note.position <= upto:
                found.append(note)
        found.reverse()
        return found


def _newer(places: dict[str, int], since: int) -> list[str]:
    """The names that are at a place after `since`; the newest stand last, and only these are looked at."""
    found: list[str] = []
    for name in reversed(places):
        if places[name] <= since:
            break
        found.append(name)
    return found
