"""How far users have read: receipts and the fully-read marker (client-server API, Receipts)."""

from collections.abc import Collection
from typing import Final

import msgspec
import orjson

from chamberlain.store import account_data, kinds
from chamberlain.store.tx import Read, Row, Write

READ: Final = "m.read"
READ_PRIVATE: Final = "m.read.private"
FULLY_READ: Final = "m.fully_read"
UNTHREADED: Final = ""
MAIN: Final = "main"
_MAX_RELATIONS: Final = 10
_SELECT: Final = "SELECT room_id, user_id, type, thread, event_id, event_position, ts, position FROM receipts"


class Receipt(msgspec.Struct, frozen=True):
    """One receipt. `thread` is `UNTHREADED`, `MAIN` or a root event id; `ts` in ms; `position` of its last move."""

    room_id: str
    user_id: str
    type: str
    thread: str
    event_id: str
    event_position: int
    ts: int
    position: int = 0


async def put(tx: Write, receipt: Receipt) -> bool:
    """Move a receipt forward, and have its followers told; False where it stands there or further on."""
    moved = await tx.run(
        "INSERT INTO receipts (room_id, user_id, type, thread, event_id, event_position, ts, position)"
        " VALUES (:room_id, :user_id, :type, :thread, :event_id, :event_position, :ts, 0)"
        " ON CONFLICT (room_id, user_id, type, thread) DO UPDATE SET event_id = excluded.event_id,"
        " event_position = excluded.event_position, ts = excluded.ts"
        " WHERE receipts.event_position < excluded.event_position",
        room_id=receipt.room_id,
        user_id=receipt.user_id,
        type=receipt.type,
        thread=receipt.thread,
        event_id=receipt.event_id,
        event_position=receipt.event_position,
        ts=receipt.ts,
    )
    if not moved:
        return False
    if receipt.type == READ_PRIVATE:
        placement = tx.place(kinds.PRIVATE_RECEIPT, receipt.user_id, receipt.room_id, receipt)
    else:
        placement = tx.place(kinds.RECEIPT, receipt.room_id, receipt.user_id, receipt)
    # The position is only known when the group commits; until then nobody else sees the row.
    placement.write(
        "UPDATE receipts SET position = :position"
        " WHERE room_id = :room_id AND user_id = :user_id AND type = :type AND thread = :thread",
        room_id=receipt.room_id,
        user_id=receipt.user_id,
        type=receipt.type,
        thread=receipt.thread,
    )
    return True


async def in_rooms_since(tx: Read, room_ids: Collection[str], since: int, upto: int) -> list[Receipt]:
    """Give the public receipts of these rooms that moved at since < position ≤ upto, in that order."""
    rows = await tx.all(
        _SELECT
        + " WHERE room_id = ANY(:room_ids) AND position > :since AND position <= :upto AND type = :type"
        " ORDER BY position",
        room_ids=list(room_ids),
        since=since,
        upto=upto,
        type=READ,
    )
    return [Receipt(*row) for row in rows]


async def private_since(tx: Read, user_id: str, since: int, upto: int) -> list[Receipt]:
    """Give the user's private receipts that moved at since < position ≤ upto, in that order."""
    rows = await tx.all(
        _SELECT + " WHERE user_id = :user_id AND position > :since AND position <= :upto AND type = :type"
        " ORDER BY position",
        user_id=user_id,
        since=since,
        upto=upto,
        type=READ_PRIVATE,
    )
    return [Receipt(*row) for row in rows]


async def of_user(tx: Read, user_id: str, room_ids: Collection[str]) -> list[Receipt]:
    """Give all receipts of a user in these rooms, private and public, threaded and not."""
    rows = await tx.all(
        _SELECT + " WHERE user_id = :user_id AND room_id = ANY(:room_ids) ORDER BY room_id, position",
        user_id=user_id,
        room_ids=list(room_ids),
    )
    return [Receipt(*row) for row in rows]


async def find_position(tx: Read, room_id: str, event_id: str) -> int | None:
    """Give the place of arrival of an event that the room has; None without one."""
    position: int | None = await tx.value(
        "SELECT position FROM events WHERE event_id = :event_id AND room_id = :room_id"
        " AND rejected IS NULL AND position IS NOT NULL",
        event_id=event_id,
        room_id=room_id,
    )
    return position


async def threads_of(tx: Read, event_id: str) -> set[str]:
    """Give the threads that an event is in, by itself or by what it relates to; a root is in `MAIN` too."""
    for _ in range(_MAX_RELATIONS):
        row: Row | None = await tx.one(
            "SELECT thread, relates_to FROM events WHERE event_id = :event_id", event_id=event_id
        )
        if row is not None and row[0] is not None:
            return {row[0]}
        if row is None or row[1] is None:
            break
        event_id = row[1]
    return {MAIN, event_id}


async def put_fully_read(tx: Write, user_id: str, room_id: str, event_id: str, event_position: int) -> bool:
    """Move the fully-read marker forward; False where it stands there or further on."""
    content = await account_data.find_locked(tx, user_id, room_id, FULLY_READ)
    if content is not None:
        earlier = orjson.loads(content).get("event_id")
        at = await find_position(tx, room_id, earlier) if isinstance(earlier, str) else None
        if at is not None and at >= event_position:
            return False
    await account_data.put(tx, user_id, room_id, FULLY_READ, orjson.dumps({"event_id": event_id}))
    return True
