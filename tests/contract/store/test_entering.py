"""Rooms that a user is being brought into, on both databases."""

from chamberlain.store import entering
from chamberlain.store.database import Database

ROOM = "!room:far.example"


async def test_a_room_is_entered_until_the_last_one_is_through(db: Database) -> None:
    """Or until the time has come."""
    assert await db.read(entering.find_version, ROOM, 0) is None
    await db.write(entering.begin, ROOM, "11", 100)
    await db.write(entering.begin, ROOM, "11", 200)
    await db.write(entering.begin, ROOM, "11", 150)
    assert await db.read(entering.find_version, ROOM, 199) == "11"
    assert await db.read(entering.find_version, ROOM, 200) is None
    await db.write(entering.end, ROOM, 100)
    assert await db.read(entering.find_version, ROOM, 0) == "11"
    await db.write(entering.end, ROOM, 200)
    assert await db.read(entering.find_version, ROOM, 0) is None
