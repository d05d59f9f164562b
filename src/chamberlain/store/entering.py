"""Rooms that a user of ours is being brought into: what other servers send for them is kept for that moment."""

from chamberlain.store import purged
from chamberlain.store.tx import Read, Write


async def begin(tx: Write, room_id: str, version: str, until: int) -> None:
    """A user is being brought into the room, at most until this time (ms).

    Raises:
        BeingPurged: what was here of the room before is not gone yet.
    """
    await purged.times(tx, room_id)
    await tx.run(
        "INSERT INTO entering_rooms (room_id, version, until) VALUES (:room_id, :version, :until)"
        " ON CONFLICT (room_id) DO UPDATE SET version = excluded.version, until = excluded.until"
        " WHERE entering_rooms.until < excluded.until",
        room_id=room_id,
        version=version,
        until=until,
    )


async def end(tx: Write, room_id: str, until: int) -> None:
    """The user who was to be in the room until then (ms) is, or is not going to be; later ones go on."""
    await tx.run(
        "DELETE FROM entering_rooms WHERE room_id = :room_id AND until <= :until",
        room_id=room_id,
        until=until,
    )


async def find_version(tx: Read, room_id: str, now: int) -> str | None:
    """Give the version of a room that a user is being brought into now (ms), or None."""
    version: str | None = await tx.value(
        "SELECT version FROM entering_rooms WHERE room_id = :room_id AND until > :now",
        room_id=room_id,
        now=now,
    )
    return version
