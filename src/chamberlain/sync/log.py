"""The last changes of rooms, in memory and bounded: what most answers of /sync are made of."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.store.events import StoredEvent
from chamberlain.store.receipts import Receipt

if TYPE_CHECKING:
    from chamberlain.sync.interest import Interest

EVENTS_KEPT: Final = 5_000
BYTES_KEPT: Final = 6 * 1024 * 1024
RECEIPTS_KEPT: Final = 100
"""Of each room."""
_NOBODY: Final[Mapping[str, tuple[bool, bool]]] = {}
_OVERHEAD: Final = 700
"""Bytes that an entry takes beside the event's JSON, roughly."""


class Entry:
    """An event that arrived lately."""

    __slots__ = ("event", "extra", "highlight_all", "is_stale", "notified", "notify_all", "position")

    def __init__(self, position: int, arrived: Arrived) -> None:
        event = arrived.event
        self.position = position
        self.event = StoredEvent(
            nid=arrived.nid,
            event_id=event.event_id,
            room_id=event.room_id,
            position=position,
            depth=event.depth,
            type=event.type,
            state_key=event.state_key,
            sender=event.sender,
            origin_server_ts=event.origin_server_ts,
            before_line=None,
            before_ver=None,
            auth_height=0,
            redacted_by=None,
            replaces=arrived.replaces,
            thread=arrived.thread,
            contains_url=isinstance(event.content.get("url"), str),
            txn_device=arrived.txn_device,
            txn_id=arrived.txn_id,
            after_gap=False,
            client=arrived.client,
        )
        self.extra: bytes | None = b"" if arrived.replaces is None else None
        """What `load_extras` gave; None until it was asked."""
        self.is_stale = False
        """Redacted, or related to, since it arrived: the database knows better."""
        self.notify_all = arrived.notify_all
        self.highlight_all = arrived.highlight_all
        self.notified = (
            {user_id: (notify, high) for user_id, notify, high, _ in arrived.notified}
            if arrived.notified
            else _NOBODY
        )

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return len(self.event.client) + _OVERHEAD


class RoomLog:
    """The last events and receipts of one room.

    `floor` and `receipts_floor`: everything that came after these positions is here.
    """

    __slots__ = ("active", "entries", "floor", "receipts", "receipts_floor", "room_id")

    def __init__(self, room_id: str, floor: int) -> None:
        self.room_id = room_id
        self.floor = floor
        self.receipts_floor = floor
        self.entries: deque[Entry] = deque()
        self.receipts: deque[tuple[int, Receipt]] = deque()
        self.active: set[Interest] = set()
        """The users who are joined and listen."""

    def since(self, since: int, upto: int) -> list[Entry]:
        """The entries at since < position <= upto, the oldest first; costs what it gives."""
        found: list[Entry] = []
        for entry in reversed(self.entries):
            if entry.position <= since:
                break
            if entry.position <= upto:
                found.append(entry)
        found.reverse()
        return found

    def receipts_since(self, since: int, upto: int) -> Iterator[Receipt]:
        """The public receipts that moved at since < position <= upto, the newest first."""
        for position, receipt in reversed(self.receipts):
            if position <= since:
                return
            if position <= upto:
                yield receipt

    def newest(self) -> Entry | None:
        """The newest entry."""
        return self.entries[-1] if self.entries else None

    def forget(self, position: int) -> None:
        """Nothing up to this position is known any more."""
        self.entries.clear()
        self.receipts.clear()
        self.floor = self.receipts_floor = position


class RecentLog:
    """The last changes of all rooms, the oldest forgotten first."""

    def __init__(self, position: int) -> None:
        self.rooms: dict[str, RoomLog] = {}
        self._order: deque[tuple[RoomLog, Entry]] = deque()
        self._bytes = 0
        self._start = position

    def room(self, room_id: str) -> RoomLog:
        """The log of a room, which is there from now on."""
        log = self.rooms.get(room_id)
        if log is None:
            log = self.rooms[room_id] = RoomLog(room_id, self._start)
        return log

    def add(self, position: int, arrived: Arrived) -> RoomLog:
        """Keep an event that arrived at a position that is newer than all."""
        log = self.room(arrived.event.room_id)
        entry = Entry(position, arrived)
        if arrived.event.redacts is not None:
            self._spoil(log, arrived.event.redacts)
        relation = arrived.event.content.get("m.relates_to")
        if isinstance(relation, dict) and isinstance(relation.get("event_id"), str):
            self._spoil(log, relation["event_id"])
        log.entries.append(entry)
        self._order.append((log, entry))
        self._bytes += entry.size
        while len(self._order) > EVENTS_KEPT or self._bytes > BYTES_KEPT:
            self._drop_oldest()
        return log

    def add_receipt(self, position: int, receipt: Receipt) -> RoomLog:
        """Keep a public receipt that moved."""
        log = self.room(receipt.room_id)
        log.receipts.append((position, receipt))
        if len(log.receipts) > RECEIPTS_KEPT:
            log.receipts_floor = log.receipts.popleft()[0]
        return log

    def forget(self, room_id: str, position: int) -> None:
        """The database knows better about a room than what is here."""
        log = self.rooms.get(room_id)
        if log is not None:
            log.forget(position)

    def release(self, log: RoomLog) -> None:
        """Nobody listens to the room any more: forget it where it is empty."""
        if not log.active and not log.entries and self.rooms.get(log.room_id) is log:
            del self.rooms[log.room_id]
            # A log that begins anew must not claim to know what this one did not.
            self._start = max(self._start, log.floor, log.receipts_floor, *_positions(log.receipts))

    def _spoil(self, log: RoomLog, event_id: str) -> None:
        for entry in log.entries:
            if entry.event.event_id == event_id:
                entry.is_stale = True
                return

    def _drop_oldest(self) -> None:
        log, entry = self._order.popleft()
        self._bytes -= entry.size
        if log.entries and log.entries[0] is entry:
            log.entries.popleft()
            log.floor = entry.position
            self.release(log)


def _positions(receipts: Sequence[tuple[int, Receipt]] | deque[tuple[int, Receipt]]) -> list[int]:
    return [position for position, _ in receipts]
