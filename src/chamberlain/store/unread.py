"""How much a user has not read (client-server API, Receiving notifications).

What notifies everyone who has only the default push rules is counted once for the room, in `events` and `rooms`;
rows of `notifications` add what concerns a single user. Unread is what came after the newest of the user's receipt
and their own last event.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from chamberlain.store.database import position_of
from chamberlain.store.receipts import MAIN, READ, READ_PRIVATE, UNTHREADED
from chamberlain.store.regimes import regime_of
from chamberlain.store.tx import Read, Row


class Count(msgspec.Struct, gc=False):
    """Notifications and highlights."""

    notify: int = 0
    highlight: int = 0

    def add(self, notify: int, highlight: int) -> None:
        """Count more."""
        self.notify += notify
        self.highlight += highlight

    def __bool__(self) -> bool:
        return self.notify > 0 or self.highlight > 0


class Unread(msgspec.Struct):
    """What a user has not read of a room as of `position`: in the main timeline, and by thread."""

    position: int
    own_rules: bool
    """Whether only rows of `notifications` count."""
    main: Count
    threads: dict[str, Count]

    def in_thread(self, thread: str) -> Count:
        """The count of a thread, which is there from now on."""
        found = self.threads.get(thread)
        if found is None:
            found = self.threads[thread] = Count()
        return found


class _Mark(msgspec.Struct, frozen=True, gc=False):
    """A place up to which something is read, and the room-wide counts there."""

    position: int = 0
    notify: int = 0
    highlight: int = 0
    threads: int = 0


_NOTHING = _Mark()


class _Marks(msgspec.Struct):
    """How far a user has read one room."""

    main: _Mark = _NOTHING
    whole: _Mark = _NOTHING
    threads: dict[str, int] = msgspec.field(default_factory=dict)

    def read_main(self, mark: _Mark) -> None:
        if mark.position > self.main.position:
            self.main = mark

    def read_all(self, mark: _Mark) -> None:
        self.read_main(mark)
        if mark.position > self.whole.position:
            self.whole = mark

    def of_thread(self, thread: str) -> int:
        return max(self.whole.position, self.threads.get(thread, 0))


async def load(tx: Read, user_id: str, room_ids: Collection[str]) -> dict[str, Unread]:
    """Give what the user has not read of these rooms."""
    if not room_ids:
        return {}
    position = await position_of(tx)
    regime = await regime_of(tx, user_id)
    marks: dict[str, _Marks] = {room_id: _Marks() for room_id in room_ids}
    await _from_own_events(tx, user_id, marks)
    await _from_receipts(tx, user_id, marks)
    found = {room_id: Unread(position, regime.own, Count(), {}) for room_id in room_ids}
    rows = await _own_rows(tx, user_id, marks)
    stretches = await _stretches(tx, regime.shared(position), marks, position)
    threaded = {room_id for room_id, thread, *_ in rows if thread != MAIN}
    threaded.update(room_id for _, whole, end, room_id in stretches if end.threads > whole.threads)
    if threaded:
        await _from_own_threads(tx, user_id, threaded, marks)
    for main, whole, end, room_id in stretches:
        found[room_id].main.add(max(end.notify - main.notify, 0), max(end.highlight - main.highlight, 0))
        if end.threads > whole.threads:
            between = whole.position, end.position
            await _count_threads(tx, user_id, room_id, between, marks[room_id], found[room_id])
    _count_own(rows, marks, found)
    return found


async def _stretches(
    tx: Read, shared: Sequence[tuple[int, int]], marks: Mapping[str, _Marks], now: int
) -> list[tuple[_Mark, _Mark, _Mark, str]]:
    """What is unread of the stretches that were counted for all: its begin in main and in all, its end, its room."""
    oldest = min(min(mark.main.position, mark.whole.position) for mark in marks.values())
    found = []
    for start, end in shared:
        if end <= oldest:
            continue
        starts = await _counts_at(tx, marks, start) if start > oldest else {}
        ends = await (_counts_of(tx, marks, now) if end == now else _counts_at(tx, marks, end))
        for room_id, upto in ends.items():
            mark, begin = marks[room_id], starts.get(room_id)
            found.append((_later(mark.main, begin), _later(mark.whole, begin), upto, room_id))
    return found


def _later(mark: _Mark, other: _Mark | None) -> _Mark:
    return other if other is not None and other.position > mark.position else mark


async def _from_own_events(tx: Read, user_id: str, marks: Mapping[str, _Marks]) -> None:
    """Who writes has read: their newest event of the main timeline, and the one that brought them in.

    Another name is told to every room, and says nothing about what was read there.
    """
    rows = await tx.all(
        "SELECT e.room_id, e.position, e.notify_count, e.highlight_count, e.thread_notify_count"
        " FROM rooms r CROSS JOIN events e WHERE r.room_id = ANY(:rooms) AND e.nid = ("
        "SELECT x.nid FROM events x WHERE x.sender = :user_id AND x.room_id = r.room_id AND x.position > 0"
        " AND x.thread IS NULL AND x.type <> 'm.room.member' AND x.rejected IS NULL"
        " ORDER BY x.position DESC LIMIT 1)",
        rooms=list(marks),
        user_id=user_id,
    )
    for room_id, *mark in rows:
        marks[room_id].read_main(_Mark(*mark))
    rows = await tx.all(
        "SELECT m.room_id, e.position, e.notify_count, e.highlight_count, e.thread_notify_count"
        " FROM memberships m JOIN events e ON e.room_id = m.room_id AND e.position = m.joined_position"
        " WHERE m.user_id = :user_id AND m.room_id = ANY(:rooms)",
        rooms=list(marks),
        user_id=user_id,
    )
    for room_id, *mark in rows:
        if mark[0] is not None:
            marks[room_id].read_all(_Mark(*mark))


async def _from_receipts(tx: Read, user_id: str, marks: Mapping[str, _Marks]) -> None:
    rows = await tx.all(
        "SELECT c.room_id, c.thread, e.position, e.notify_count, e.highlight_count, e.thread_notify_count"
        " FROM receipts c JOIN events e ON e.event_id = c.event_id"
        " WHERE c.room_id = ANY(:rooms) AND c.user_id = :user_id AND c.type = ANY(:types)",
        rooms=list(marks),
        user_id=user_id,
        types=[READ, READ_PRIVATE],
    )
    for room_id, thread, position, *counts in rows:
        if position is None:
            continue
        mark = _Mark(position, *counts)
        if thread == UNTHREADED:
            marks[room_id].read_all(mark)
        elif thread == MAIN:
            marks[room_id].read_main(mark)
        else:
            threads = marks[room_id].threads
            threads[thread] = max(position, threads.get(thread, 0))


async def _from_own_threads(
    tx: Read, user_id: str, room_ids: Collection[str], marks: Mapping[str, _Marks]
) -> None:
    """Who writes in a thread has read it."""
    rows = await tx.all(
        "SELECT room_id, thread, MAX(position) FROM events WHERE sender = :user_id AND room_id = ANY(:rooms)"
        " AND position > :position AND thread IS NOT NULL AND rejected IS NULL GROUP BY room_id, thread",
        user_id=user_id,
        rooms=list(room_ids),
        position=min(marks[room_id].whole.position for room_id in room_ids),
    )
    for room_id, thread, position in rows:
        threads = marks[room_id].threads
        threads[thread] = max(position, threads.get(thread, 0))


async def _counts_at(tx: Read, room_ids: Collection[str], position: int) -> dict[str, _Mark]:
    """The room-wide counts as they were at a position."""
    rows = await tx.all(
        "SELECT e.room_id, e.position, e.notify_count, e.highlight_count, e.thread_notify_count"
        " FROM rooms r CROSS JOIN events e WHERE r.room_id = ANY(:rooms) AND e.room_id = r.room_id"
        " AND e.position = (SELECT x.position FROM events x WHERE x.room_id = r.room_id AND x.position > 0"
        " AND x.position <= :position ORDER BY x.position DESC LIMIT 1)",
        rooms=list(room_ids),
        position=position,
    )
    return {room_id: _Mark(*mark) for room_id, *mark in rows}


async def _counts_of(tx: Read, room_ids: Collection[str], position: int) -> dict[str, _Mark]:
    """The room-wide counts as they are now, at `position`."""
    rows = await tx.all(
        "SELECT room_id, notify_count, highlight_count, thread_notify_count FROM rooms"
        " WHERE room_id = ANY(:rooms)",
        rooms=list(room_ids),
    )
    return {room_id: _Mark(position, *counts) for room_id, *counts in rows}


async def _count_threads(
    tx: Read, user_id: str, room_id: str, stretch: tuple[int, int], mark: _Marks, unread: Unread
) -> None:
    rows = await tx.all(
        "SELECT thread, sender, position, notifies, highlights FROM events WHERE room_id = :room_id"
        " AND thread IS NOT NULL AND position > :after AND position <= :upto AND rejected IS NULL"
        " AND NOT soft_failed ORDER BY position",
        room_id=room_id,
        after=stretch[0],
        upto=stretch[1],
    )
    for thread, sender, position, notifies, highlights in rows:
        if (notifies or highlights) and sender != user_id and position > mark.of_thread(thread):
            unread.in_thread(thread).add(int(notifies), int(highlights))


async def _own_rows(tx: Read, user_id: str, marks: Mapping[str, _Marks]) -> list[Row]:
    """What concerns the user alone: room, thread, position, notify, highlight."""
    lows = [min(mark.main.position, mark.whole.position) for mark in marks.values()]
    return await tx.all(
        "SELECT room_id, thread, position, notify, highlight FROM notifications"
        " WHERE user_id = :user_id AND position > :position AND room_id = ANY(:rooms)",
        user_id=user_id,
        position=min(lows),
        rooms=list(marks),
    )


def _count_own(rows: Sequence[Row], marks: Mapping[str, _Marks], found: Mapping[str, Unread]) -> None:
    for room_id, thread, position, notify, highlight in rows:
        mark = marks[room_id]
        if thread == MAIN:
            if position > mark.main.position:
                found[room_id].main.add(notify, highlight)
        elif position > mark.of_thread(thread):
            found[room_id].in_thread(thread).add(notify, highlight)
