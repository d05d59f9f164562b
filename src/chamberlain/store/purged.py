"""Rooms that were purged: that nobody comes into one meanwhile, and what the clients of its members are told."""

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.store.tx import Read, Write


class BeingPurged(MatrixError):
    """The room is being purged, or was meanwhile: nobody can come into it by what was known of it."""

    def __init__(self) -> None:
        super().__init__(ErrCode.UNKNOWN, "The room is being purged; try again later", status=409)


async def times(tx: Read, room_id: str) -> int:
    """Give how often the room was purged.

    Raises:
        BeingPurged: it is being purged now.
    """
    row = await tx.one("SELECT times, under_way FROM purged_rooms WHERE room_id = :room_id", room_id=room_id)
    if row is None:
        return 0
    if row[1]:
        raise BeingPurged
    found: int = row[0]
    return found


async def is_under_way(tx: Read, room_id: str) -> bool:
    """Say whether the room is being purged, or a purge of it was cut off."""
    found = await tx.value(
        "SELECT 1 FROM purged_rooms WHERE room_id = :room_id AND under_way", room_id=room_id
    )
    return found is not None


async def begin(tx: Write, room_id: str) -> None:
    """The room is being purged, from now on. Harmless when repeated."""
    await tx.run(
        "INSERT INTO purged_rooms (room_id, times, under_way) VALUES (:room_id, 1, TRUE)"
        " ON CONFLICT (room_id) DO UPDATE SET times = purged_rooms.times + 1, under_way = TRUE"
        " WHERE NOT purged_rooms.under_way",
        room_id=room_id,
    )


async def end(tx: Write, room_id: str) -> None:
    """Nothing of the room is left: it may come in anew."""
    await tx.run("UPDATE purged_rooms SET under_way = FALSE WHERE room_id = :room_id", room_id=room_id)


async def left_since(tx: Read, user_id: str, since: int) -> list[str]:
    """Give the purged rooms that the user was out of after a position, and had nothing to do with since."""
    rows = await tx.all(
        "SELECT p.room_id FROM purged_memberships p WHERE p.user_id = :user_id AND p.position > :since"
        " AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.room_id = p.room_id AND m.user_id = p.user_id)"
        " ORDER BY p.position",
        user_id=user_id,
        since=since,
    )
    return [row[0] for row in rows]
