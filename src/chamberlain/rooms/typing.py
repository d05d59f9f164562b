"""Who is typing where, in memory alone (client-server API, Typing Notifications).

Every worker knows who types in all rooms (see `runtime/bus.py`).
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock, Timer
from chamberlain.store import kinds
from chamberlain.store.tx import Change

MAX_MS: Final = 120_000
"""Nobody types for longer than this without saying so again."""
DEFAULT_MS: Final = 30_000
"""For how long one types who does not say."""
LATE_SECONDS: Final = 5.0
"""So much later the other workers end what the one does not that was told of it: it is dead."""

TOPIC: Final = "typing"
Subscriber = Callable[[str], None]


class Typed(msgspec.Struct, frozen=True, array_like=True):
    """A user types in a room for so many ms from now on; None: does not any more."""

    room_id: str
    user_id: str
    ms: int | None


class _Room:
    __slots__ = ("coming", "position", "timers")

    def __init__(self) -> None:
        self.position = 0
        self.timers: dict[str, Timer] = {}
        self.coming: set[str] = set()
        """Who begins to type, as this worker has told and not heard yet."""


class Typing:
    """Who is typing in which room."""

    kind = Typed

    def __init__(self, clock: Clock, bus: Bus) -> None:
        self._clock = clock
        self._bus = bus
        self._rooms: dict[str, _Room] = {}
        self._subscribers: list[Subscriber] = []
        bus.subscribe(TOPIC, self)

    @property
    def position(self) -> int:
        """The place of the newest change of anything that is not durable."""
        return self._bus.position

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have it called with the room id whenever somebody starts or stops typing."""
        self._subscribers.append(subscriber)

    def start(self, room_id: str, user_id: str, timeout_ms: int) -> None:
        """The user is typing in the room, for `timeout_ms` (at most 120,000) or until `stop`."""
        self._rooms.setdefault(room_id, _Room()).coming.add(user_id)
        self._tell(Typed(room_id, user_id, min(max(timeout_ms, 0), MAX_MS)))

    def stop(self, room_id: str, user_id: str) -> None:
        """The user is not typing in the room; harmless when repeated."""
        room = self._rooms.get(room_id)
        if room is not None and (user_id in room.timers or user_id in room.coming):
            self._tell(Typed(room_id, user_id, None))

    def follow(self, changes: Sequence[Change]) -> None:
        """End the typing of those who have left the room."""
        for change in changes:
            if change.kind == kinds.MEMBERSHIP and change.ref is not None:
                self.stop(change.ref, change.entity)

    def users(self, room_id: str) -> list[str]:
        """Who is typing in the room."""
        room = self._rooms.get(room_id)
        return [] if room is None else sorted(room.timers)

    def moved_at(self, room_id: str) -> int:
        """The place of the room's newest change; 0 where there was none."""
        room = self._rooms.get(room_id)
        return 0 if room is None else room.position

    def since(self, room_ids: Collection[str], position: int) -> dict[str, list[str]]:
        """Who is typing in those of the rooms where that changed after `position`; nobody is an empty list."""
        if len(room_ids) > len(self._rooms):
            room_ids = [room_id for room_id in self._rooms if room_id in room_ids]
        return {room_id: self.users(room_id) for room_id in room_ids if self.moved_at(room_id) > position}

    def close(self) -> None:
        """Forget everything, timers included."""
        for room in self._rooms.values():
            for timer in room.timers.values():
                timer.cancel()
        self._rooms.clear()

    def _tell(self, typed: Typed, *, later: bool = False) -> None:
        self._bus.tell(TOPIC, f"{typed.room_id} {typed.user_id}", typed, later=later)

    # ---------------------------------------------------------------------------------- what the bus brings

    async def prepare(self, news: Typed) -> None:
        """Nothing has to be known."""

    def heard(self, worker: str, news: Typed) -> None:
        """The user types in the room, or has ceased to."""
        room = self._rooms.setdefault(news.room_id, _Room())
        is_own = worker == self._bus.name
        if is_own:
            room.coming.discard(news.user_id)
        timer = room.timers.pop(news.user_id, None)
        if timer is not None:
            timer.cancel()
        if news.ms is not None:
            seconds = news.ms / 1000 + (0 if is_own else LATE_SECONDS)
            room.timers[news.user_id] = self._clock.call_later(seconds, self.stop, news.room_id, news.user_id)
        if (timer is None) != (news.ms is None):
            self._moved(news.room_id, room)

    def lost(self, worker: str) -> None:
        """What the worker was told of ends by its time."""

    def repeat(self, *, all_of_it: bool) -> None:
        """Tell who types."""
        if all_of_it:
            for room_id, room in self._rooms.items():
                for user_id in room.timers:
                    self._tell(Typed(room_id, user_id, DEFAULT_MS), later=True)

    def _moved(self, room_id: str, room: _Room) -> None:
        room.position = self._bus.position
        for subscriber in self._subscribers:
            subscriber(room_id)
