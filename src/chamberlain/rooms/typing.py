"""Who is typing where, in memory alone (client-server API, Typing Notifications)."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from chamberlain.runtime.clock import Clock, Timer
from chamberlain.store import kinds
from chamberlain.store.tx import Change

MAX_MS: Final = 120_000
"""Nobody types for longer than this without saying so again."""
DEFAULT_MS: Final = 30_000
"""For how long one types who does not say."""

Subscriber = Callable[[str], None]


class EphemeralCounter:
    """The order of what is not durable: typing and presence.

    It starts at the time (ms), so that it is never behind what was given out before a restart.
    """

    __slots__ = ("position",)

    def __init__(self, clock: Clock) -> None:
        self.position: int = clock.now()

    def advance(self) -> int:
        """Take the next place."""
        self.position += 1
        return self.position


class _Room:
    __slots__ = ("position", "timers")

    def __init__(self) -> None:
        self.position = 0
        self.timers: dict[str, Timer] = {}


class Typing:
    """Who is typing in which room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._subscribers: list[Subscriber] = []
        self.counter = EphemeralCounter(clock)
        """Shared with presence."""

    @property
    def position(self) -> int:
        """The place of the newest change of anything that is not durable."""
        return self.counter.position

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have it called with the room id whenever somebody starts or stops typing."""
        self._subscribers.append(subscriber)

    def start(self, room_id: str, user_id: str, timeout_ms: int) -> None:
        """The user is typing in the room, for `timeout_ms` (at most 120,000) or until `stop`."""
        room = self._rooms.setdefault(room_id, _Room())
        timer = room.timers.pop(user_id, None)
        if timer is not None:
            timer.cancel()
        seconds = min(max(timeout_ms, 0), MAX_MS) / 1000
        room.timers[user_id] = self._clock.call_later(seconds, self.stop, room_id, user_id)
        if timer is None:
            self._moved(room_id, room)

    def stop(self, room_id: str, user_id: str) -> None:
        """The user is not typing in the room; harmless when repeated."""
        room = self._rooms.get(room_id)
        timer = room.timers.pop(user_id, None) if room is not None else None
        if room is None or timer is None:
            return
        timer.cancel()
        self._moved(room_id, room)

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

    def _moved(self, room_id: str, room: _Room) -> None:
        room.position = self.counter.advance()
        for subscriber in self._subscribers:
            subscriber(room_id)
