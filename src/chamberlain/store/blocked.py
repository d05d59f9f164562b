"""Rooms that no user of this server may come into."""

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


class Block(msgspec.Struct, frozen=True):
    """Who blocked a room, and when (ms)."""

    room_id: str
    blocked_by: str
    blocked_at: int


async def find(tx: Read, room_id: str) -> Block | None:
    """Give the block of a room, or None."""
    row = await tx.one(
        "SELECT room_id, blocked_by, blocked_at FROM blocked_rooms WHERE room_id = :room_id", room_id=room_id
    )
    return None if row is None else Block(*row)


async def block(tx: Write, room_id: str, by: str, now: int) -> None:
    """The room is blocked; a block that is there stays as it is."""
    if await tx.run(
        "INSERT INTO blocked_rooms (room_id, blocked_by, blocked_at) VALUES (:room_id, :by, :now)"
        " ON CONFLICT (room_id) DO NOTHING",
        room_id=room_id,
        by=by,
        now=now,
    ):
        tx.place(kinds.ROOM, room_id, "block")


async def unblock(tx: Write, room_id: str) -> None:
    """The room is not blocked."""
    if await tx.run("DELETE FROM blocked_rooms WHERE room_id = :room_id", room_id=room_id):
        tx.place(kinds.ROOM, room_id, "block")


async def list_blocked(tx: Read, after: str, limit: int) -> list[Block]:
    """Give at most `limit` blocked rooms by id, those behind `after`."""
    rows = await tx.all(
        "SELECT room_id, blocked_by, blocked_at FROM blocked_rooms WHERE room_id > :after"
        " ORDER BY room_id LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [Block(*row) for row in rows]
