"""Rooms that wait for their members, on both engines."""

from chamberlain.store import partial
from chamberlain.store.database import Database
from chamberlain.store.state.lines import add_line
from chamberlain.store.tx import Read, Write
from tests.support.rows import insert

ROOM = "!room:example.org"


async def put_room(tx: Write, is_partial: bool) -> None:
    """A room with an empty line."""
    await insert(tx, "rooms", room_id=ROOM, version="11", cur_line=1, head_seq=5, is_partial=is_partial)
    await add_line(tx, ROOM, 1, None, complete=True, first=1, live=0)


async def seq_and_rows(tx: Read) -> tuple[int, int]:
    """The place of the head, and how many rows of state there are."""
    return (
        await tx.value("SELECT head_seq FROM rooms"),
        await tx.value("SELECT count(*) FROM state_rows"),
    )


async def test_the_head_moves_when_members_are_filled_in(db: Database) -> None:
    """What is built on there being no such member comes to nothing."""
    await db.write(put_room, True)

    assert await db.write(partial.fill_in, ROOM, {1: 10, 2: 20})

    assert await db.read(seq_and_rows) == (6, 2)
    assert await db.write(partial.fill_in, ROOM, {2: 20, 3: 30})
    assert await db.read(seq_and_rows) == (7, 3)


async def test_a_room_that_does_not_wait_is_not_filled_in(db: Database) -> None:
    """It came anew meanwhile, or another worker was faster."""
    await db.write(put_room, False)

    assert not await db.write(partial.fill_in, ROOM, {1: 10})
    await db.write(partial.complete, partial.Partial(ROOM, "$join", "far.test"))

    assert await db.read(seq_and_rows) == (5, 0)
    assert await db.read(partial.completed_since, [ROOM], 0) == set()
