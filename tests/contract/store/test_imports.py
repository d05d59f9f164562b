"""The state of rooms that come from other servers, on both engines."""

from chamberlain.store import imports
from chamberlain.store.database import Database
from chamberlain.store.tx import Read

ROOM = "!room:example.org"


async def rows_by_line(tx: Read) -> list[tuple[int, int]]:
    """Each line, and how many rows it has."""
    return [
        (row[0], row[1])
        for row in await tx.all(
            "SELECT l.line, (SELECT count(*) FROM state_rows s WHERE s.line = l.line) FROM state_lines l"
            " ORDER BY l.line"
        )
    ]


async def test_two_workers_that_bring_in_a_room_leave_each_others_state(db: Database) -> None:
    """Which of them was faster is seen at the end."""
    await db.write(imports.begin_line, ROOM, 1, 1)
    await db.write(imports.add_rows, 1, [(1, 10)])

    await db.write(imports.begin_line, ROOM, 2, 2)
    await db.write(imports.add_rows, 2, [(1, 10), (2, 20)])

    assert await db.read(rows_by_line) == [(1, 1), (2, 2)]
