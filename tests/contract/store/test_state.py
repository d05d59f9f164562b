"""The store functions of room state, on both databases."""

import asyncio
from itertools import count

import pytest

from chamberlain.store import state
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.tx import Write
from tests.support.clock import FakeClock
from tests.support.rows import insert

ROOM, OTHER = "!one:x", "!two:x"
TOPIC, NAME, ALICE = ("m.room.topic", ""), ("m.room.name", ""), ("m.room.member", "@alice:x")


async def keys_of(db: Database) -> tuple[int, int, int]:
    """Numbers for a topic, a name and a member."""
    keys = await db.write(state.intern_keys, [TOPIC, NAME, ALICE])
    return keys[TOPIC], keys[NAME], keys[ALICE]


async def test_names_get_numbers_once(db: Database) -> None:
    """A name keeps its number, members are positive, all others negative, and numbers give the names back."""
    topic, name, alice = await keys_of(db)

    again = await db.write(state.intern_keys, [ALICE, ("m.room.member", "@bob:x"), TOPIC, ("x", "\0")])
    assert (again[TOPIC], again[ALICE]) == (topic, alice)
    assert topic < 0 < alice < again["m.room.member", "@bob:x"]
    assert await db.read(state.find_keys, [NAME, ("x", "\0"), ("x", "never")]) == {
        NAME: name,
        ("x", "\0"): again["x", "\0"],
    }
    assert await db.read(state.names_of, [topic, again["x", "\0"]]) == {
        topic: TOPIC,
        again["x", "\0"]: ("x", "\0"),
    }


async def test_workers_that_meet_a_new_name_agree(database_url: str, clock: FakeClock) -> None:
    """Eight writers that number the same new names at once get the same numbers."""
    workers = 1 if database_url.startswith("sqlite") else 3
    databases = [await open_database(database_url, clock.now, synchronous="off") for _ in range(workers)]
    names = [("m.room.member", f"@{n}:x") for n in range(20)]

    found = await asyncio.gather(
        *[databases[n % workers].write(state.intern_keys, names[n:] + names[:n]) for n in range(8)]
    )

    assert all(keys == found[0] for keys in found)
    assert len(set(found[0].values())) == len(names)
    for database in databases:
        await database.close()


async def test_rooms_grow_together(db: Database) -> None:
    """One batch appends to several rooms, some keys twice; each version shows the state of its time."""
    topic, name, alice = await keys_of(db)
    one = await db.write(state.new_room_line, ROOM, 1)
    two = await db.write(state.new_room_line, OTHER, 2)
    await db.write(state.append_many, [(*one, [(alice, 1), (topic, 2), (topic, 3)]), (*two, [(name, 4)])])

    await db.write(state.append_many, [(1, 3, [(topic, 5), (topic, 6)]), (2, 1, [(name, 7)])])

    assert [await db.read(state.get, (1, v), topic) for v in range(6)] == [None, None, 2, 3, 5, 6]
    assert await db.read(state.full, (1, 5)) == {alice: 1, topic: 6}
    assert await db.read(state.full, (2, 1)) == {name: 4}
    assert await db.read(state.full_by_name, (2, 2)) == {NAME: 7}
    assert await db.read(state.members, (1, 3)) == {"@alice:x": 1}
    assert await db.read(state.without_members, (1, 3)) == {TOPIC: 3}
    assert await db.read(state.difference, (1, 1), (1, 5)) == {topic: (None, 6)}
    assert await db.read(state.difference, (1, 3), (2, 2)) == {
        topic: (3, None),
        alice: (1, None),
        name: (None, 7),
    }


async def test_a_worn_line_is_left_for_a_copy(db: Database) -> None:
    """A topic that changed hundreds of times makes a new current line; old points mean what they meant."""
    topic, name, alice = await keys_of(db)
    line, start = await db.write(state.new_room_line, ROOM, 1)
    changes = [(alice, 1), (name, 2), *((topic, n) for n in range(3, 700))]
    await db.write(state.append_many, [(line, start, changes)])
    before = (line, len(changes))

    after = await db.write(state.renew, ROOM, start, before, count(2))

    assert after == (2, 1)
    assert await db.read(state.full, after) == await db.read(state.full, before)
    assert await db.read(state.difference, (1, 100), after) == {topic: (100, 699)}
    await db.write(state.append_many, [(*after, [(topic, 800)])])
    assert await db.read(state.get, (2, 2), topic) == 800
    assert await db.read(state.difference, before, (2, 2)) == {topic: (699, 800)}
    assert await db.write(state.renew, ROOM, 1, (2, 2), count(3)) == (2, 2)


async def test_positions_tell_the_state_of_their_time(db: Database) -> None:
    """A position that moved nothing has the point of the last one that did; one before the room has none."""
    await db.write(state.new_room_line, ROOM, 1)

    async def move(tx: Write, point: state.Point) -> None:
        state.note_position(tx.place("event", ROOM), ROOM, point)

    async def other(tx: Write) -> None:
        tx.place("event", OTHER)

    await db.write(other)
    await db.write(move, (1, 1))
    await db.write(other)
    await db.write(move, (1, 2))

    found = [await db.read(state.point_at, ROOM, position) for position in range(1, 6)]
    assert found == [None, (1, 1), (1, 1), (1, 2), (1, 2)]
    assert await db.read(state.current, ROOM) is None


async def test_a_dropped_room_leaves_nothing(db: Database) -> None:
    """Dropping a room's state leaves no row of it and all of another room's."""
    topic, _, alice = await keys_of(db)
    for room, line in ((ROOM, 1), (OTHER, 2)):
        point = await db.write(state.new_room_line, room, line)
        await db.write(state.append_many, [(*point, [(alice, 1), (topic, 2)])])
        side = state.View((line, 1), {topic: 9})
        await db.write(state.place, room, side, (line, 2), iter([line + 10]))

    while await db.write(state.drop_room, ROOM, 1):
        pass

    for table in ("state_lines", "state_rows"):
        rows = await db.read(lines_in, table)
        assert rows == {2, 12}
    assert await db.read(state.full, (12, 1)) == {alice: 1, topic: 9}
    with pytest.raises(LookupError):
        await db.read(state.full, (1, 2))


async def lines_in(tx: Write, table: str) -> set[int]:
    """The lines that a table speaks of."""
    sql = "SELECT line FROM state_rows" if table == "state_rows" else "SELECT line FROM state_lines"
    return {row[0] for row in await tx.all(sql)}


async def test_two_sides_that_fork_off_one_tip_part(db: Database) -> None:
    """The first event after a side's tip prolongs that side; the second one there starts a line of its own."""
    topic, name, alice = await keys_of(db)
    point = await db.write(state.new_room_line, ROOM, 1)
    await db.write(state.append_many, [(*point, [(alice, 1)])])
    side = await db.write(state.place, ROOM, state.View((1, 1), {topic: 2}), (1, 1), iter([2]))

    first = await db.write(state.place, ROOM, state.View(side, {topic: 3}), (1, 1), iter([3]))
    second = await db.write(state.place, ROOM, state.View(side, {topic: 4, name: 5}), (1, 1), iter([4]))
    third = await db.write(state.place, ROOM, state.View(side, {topic: 2}), (1, 1), iter([5]))

    assert (side, first, second, third) == ((2, 1), (2, 2), (4, 1), side)
    assert await db.read(state.full, first) == {alice: 1, topic: 3}
    assert await db.read(state.full, second) == {alice: 1, topic: 4, name: 5}


async def test_after_an_event_without_a_point_is_an_error(db: Database) -> None:
    """An outlier has no state after it, and neither has an event that is not there."""

    async def outlier(tx: Write) -> None:
        await insert(tx, "events", nid=1, event_id="$1", room_id=ROOM, type="m.room.topic", state_key="")

    await db.write(outlier)
    for nid in (1, 2):
        with pytest.raises(LookupError):
            await db.read(state.after, [nid])
    assert await db.read(state.before, 1) is None
