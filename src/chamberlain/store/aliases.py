"""Room aliases of this server."""

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


async def find_room(tx: Read, alias: str) -> str | None:
    """Give the room that the alias names, or None."""
    room_id: str | None = await tx.value("SELECT room_id FROM room_aliases WHERE alias = :alias", alias=alias)
    return room_id


async def find_creator(tx: Read, alias: str) -> str | None:
    """Give the user who made the alias, or None where there is no such alias."""
    creator: str | None = await tx.value("SELECT creator FROM room_aliases WHERE alias = :alias", alias=alias)
    return creator


async def list_of(tx: Read, room_id: str) -> list[str]:
    """Give the room's aliases in order."""
    rows = await tx.all(
        "SELECT alias FROM room_aliases WHERE room_id = :room_id ORDER BY alias", room_id=room_id
    )
    return [row[0] for row in rows]


async def add(tx: Write, alias: str, room_id: str, creator: str, now: int) -> bool:
    """Have the alias name the room; False where it names one already."""
    added = await tx.run(
        "INSERT INTO room_aliases (alias, room_id, creator, created_at)"
        " VALUES (:alias, :room_id, :creator, :now) ON CONFLICT (alias) DO NOTHING",
        alias=alias,
        room_id=room_id,
        creator=creator,
        now=now,
    )
    return added > 0


async def move(tx: Write, alias: str, room_id: str) -> None:
    """Have the alias name another room."""
    before: str | None = await tx.value(
        "SELECT room_id FROM room_aliases WHERE alias = :alias FOR UPDATE", alias=alias
    )
    if before is not None and before != room_id:
        await tx.run(
            "UPDATE room_aliases SET room_id = :room_id WHERE alias = :alias", alias=alias, room_id=room_id
        )
        for moved in (before, room_id):
            tx.place(kinds.ROOM, moved, "alias")


async def delete(tx: Write, alias: str) -> str | None:
    """Have the alias name nothing; give the room that it named, or None."""
    room_id: str | None = await tx.value(
        "DELETE FROM room_aliases WHERE alias = :alias RETURNING room_id", alias=alias
    )
    if room_id is not None:
        tx.place(kinds.ROOM, room_id, "alias")
    return room_id
