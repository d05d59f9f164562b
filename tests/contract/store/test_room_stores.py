"""Receipts, the directory, the hierarchy of spaces and the cursors of followers, on both engines."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chamberlain.store import aliases, blocked, cursors, directory, kinds, receipts, rooms, spaces
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.directory import Wanted
from chamberlain.store.receipts import Receipt
from chamberlain.store.tx import Change, Write
from tests.support.clock import FakeClock
from tests.support.rows import insert

ALICE = "@alice:example.org"
BOB = "@bob:example.org"
ROOM = "!room:example.org"
OTHER = "!other:example.org"


def receipt(
    at: int, *, kind: str = "m.read", user: str = ALICE, room: str = ROOM, thread: str = ""
) -> Receipt:
    """A receipt for the event that arrived at this position."""
    return Receipt(room, user, kind, thread, f"${at}", at, 1_000 + at)


@pytest.fixture
def told(db: Database) -> list[Change]:
    """Every change that is told."""
    changes: list[Change] = []
    db.subscribe(changes.extend)
    return changes


@pytest.fixture
async def eight(database_url: str, clock: FakeClock, db: Database) -> AsyncIterator[list[Database]]:
    """Eight more connections to the database of `db`."""
    opened = [await open_database(database_url, clock.now, synchronous="off") for _ in range(8)]
    yield opened
    for database in opened:
        await database.close()


async def publish(tx: Write, room: str, joined: int, **summary: str | None) -> None:
    """Make a room that the directory lists."""
    await insert(tx, "rooms", room_id=room, version="11")
    await insert(
        tx, "room_summaries", **({"room_id": room, "joined": joined, "join_rule": "public"} | summary)
    )
    await directory.set_published(tx, room, True, 5)


async def test_receipts_move_forward(db: Database, told: list[Change]) -> None:
    """A receipt that stands further on is not moved, and its followers hear of moves alone."""
    moved = [await db.write(receipts.put, receipt(at)) for at in (3, 2, 3, 7)]
    assert moved == [True, False, False, True]
    assert [(change.kind, change.entity, change.ref) for change in told] == [(kinds.RECEIPT, ROOM, ALICE)] * 2
    (found,) = await db.read(receipts.of_user, ALICE, [ROOM])
    assert (found.event_id, found.event_position, found.ts, found.position) == (
        "$7",
        7,
        1_007,
        told[-1].position,
    )


async def test_receipts_are_found_by_position(db: Database, told: list[Change]) -> None:
    """What moved between two positions: public ones by room, private ones by user; threads are apart."""
    for one in (
        receipt(1),
        receipt(2, user=BOB, thread="main"),
        receipt(3, kind="m.read.private"),
        receipt(4, room=OTHER),
        receipt(5),
    ):
        await db.write(receipts.put, one)
    bobs, private, others, last = (change.position for change in told[1:])
    assert (told[2].kind, told[2].entity, told[2].ref) == (kinds.PRIVATE_RECEIPT, ALICE, ROOM)
    found = await db.read(receipts.in_rooms_since, [ROOM, OTHER], 0, last)
    assert [(one.room_id, one.user_id, one.position) for one in found] == [
        (ROOM, BOB, bobs),
        (OTHER, ALICE, others),
        (ROOM, ALICE, last),
    ]
    found = await db.read(receipts.in_rooms_since, [ROOM], bobs, last - 1)
    assert found == []
    (own,) = await db.read(receipts.private_since, ALICE, 0, last)
    assert own.position == private
    assert await db.read(receipts.private_since, ALICE, private, last) == []
    assert await db.read(receipts.private_since, BOB, 0, last) == []


async def test_of_racing_receipts_the_newest_stays(eight: list[Database], db: Database) -> None:
    """Eight workers that move one receipt leave it at the newest event."""
    await asyncio.gather(*(other.write(receipts.put, receipt(at)) for at, other in enumerate(eight, 1)))
    (found,) = await db.read(receipts.of_user, ALICE, [ROOM])
    assert found.event_position == 8
    assert found.position > 0


async def test_the_fully_read_marker(db: Database) -> None:
    """The marker moves forward only; one at an event that is gone is moved anyway."""

    async def add(tx: Write, at: int) -> None:
        await insert(tx, "events", nid=at, event_id=f"${at}", room_id=ROOM, position=at)

    for at in (1, 2, 3):
        await db.write(add, at)
    for at, moved in ((2, True), (1, False), (2, False), (3, True)):
        assert await db.write(receipts.put_fully_read, ALICE, ROOM, f"${at}", at) is moved
    assert await db.write(receipts.put_fully_read, BOB, ROOM, "$gone", 9)
    assert await db.write(receipts.put_fully_read, BOB, ROOM, "$1", 1)
    assert await db.read(receipts.find_position, ROOM, "$2") == 2
    assert await db.read(receipts.find_position, OTHER, "$2") is None


async def test_the_threads_of_an_event(db: Database) -> None:
    """A reply is in its thread, what relates to it too; all else is in the main timeline and may be a root."""

    async def add(tx: Write) -> None:
        await insert(tx, "events", nid=1, event_id="$root", room_id=ROOM)
        await insert(tx, "events", nid=2, event_id="$reply", room_id=ROOM, thread="$root", relates_to="$root")
        await insert(tx, "events", nid=3, event_id="$like", room_id=ROOM, relates_to="$reply")
        await insert(tx, "events", nid=4, event_id="$edit", room_id=ROOM, relates_to="$root")
        await insert(tx, "events", nid=5, event_id="$self", room_id=ROOM, relates_to="$self")

    await db.write(add)
    for event_id, threads in (
        ("$root", {"main", "$root"}),
        ("$reply", {"$root"}),
        ("$like", {"$root"}),
        ("$edit", {"main", "$root"}),
        ("$self", {"main", "$self"}),
        ("$unknown", {"main", "$unknown"}),
    ):
        assert await db.read(receipts.threads_of, event_id) == threads, event_id


async def test_the_directory_is_searched_and_paged(db: Database) -> None:
    """Rooms come by size and id, after and before a place; terms and types pick among them."""
    await db.write(publish, "!a:x", 5, name="Garden", topic=None, room_type="m.space")
    await db.write(publish, "!b:x", 9, name=None, topic="The 100% garden")
    await db.write(publish, "!c:x", 5, name="House", canonical_alias="#Garden:x")
    await db.write(publish, "!d:x", 7, name="Garden", join_rule="invite")

    async def after(wanted: Wanted, place: tuple[int, str] | None = None, limit: int = 9) -> list[str]:
        return [room.room_id for room in await db.snapshot(directory.list_after, wanted, place, limit)]

    assert await after(Wanted()) == ["!b:x", "!a:x", "!c:x"]
    assert await after(Wanted(), (9, "!b:x"), 1) == ["!a:x"]
    assert await after(Wanted(), (5, "!a:x")) == ["!c:x"]
    before = await db.snapshot(directory.list_before, Wanted(), (5, "!c:x"), 2)
    assert [room.room_id for room in before] == ["!a:x", "!b:x"]
    assert await after(Wanted("GARDEN")) == ["!b:x", "!a:x", "!c:x"]
    assert await after(Wanted("0% g")) == ["!b:x"]
    assert await after(Wanted("!")) == []
    assert await after(Wanted(types=frozenset({"m.space"}))) == ["!a:x"]
    assert await after(Wanted("garden", types=frozenset({None}))) == ["!b:x", "!c:x"]
    assert await after(Wanted(types=frozenset())) == []
    assert await db.snapshot(directory.count, Wanted("garden", frozenset({None, "m.space"}))) == 3


async def test_a_room_is_published_once(db: Database, told: list[Change]) -> None:
    """Publishing and taking off are told when they change something, and move with the aliases."""

    async def alias(tx: Write) -> None:
        await insert(tx, "room_aliases", alias="#a:x", room_id=ROOM)

    await db.write(alias)
    for published, changed in ((True, True), (True, False), (False, True), (False, False), (True, True)):
        assert await db.write(directory.set_published, ROOM, published, 5) is changed
    for _ in range(2):
        await db.write(directory.move, ROOM, OTHER, 6)
    assert not await db.read(directory.is_published, ROOM)
    assert await db.read(directory.is_published, OTHER)
    named = [(change.entity, change.ref) for change in told]
    assert named == [(ROOM, "directory")] * 3 + [
        (ROOM, "alias"),
        (OTHER, "alias"),
        (ROOM, "directory"),
        (OTHER, "directory"),
    ]


async def test_rooms_as_one_user_sees_them(db: Database) -> None:
    """The known ones of some rooms, each with the membership of the one who asks."""
    await db.write(publish, ROOM, 2, name="Garden", room_type="m.space")

    async def join(tx: Write) -> None:
        await insert(tx, "memberships", room_id=ROOM, user_id=ALICE, membership="join")

    await db.write(join)
    for user, membership in ((ALICE, "join"), (BOB, None), (None, None)):
        found = await db.read(spaces.list_infos, [ROOM, OTHER], user)
        assert list(found) == [ROOM]
        info = found[ROOM]
        assert (info.version, info.name, info.room_type, info.joined) == ("11", "Garden", "m.space", 2)
        assert info.membership == membership
    assert await db.snapshot(spaces.list_children, OTHER) == []


async def test_a_cursor_never_goes_back(db: Database, told: list[Change]) -> None:
    """A follower goes on from the furthest position that was stored; other kinds are passed over."""

    async def change(tx: Write) -> None:
        for kind, entity in ((kinds.PROFILE, ALICE), (kinds.ROOM, ROOM), (kinds.PROFILE, BOB)):
            tx.place(kind, entity)

    await db.write(change)
    first, _, last = (change.position for change in told)
    assert await db.read(cursors.get, "one") == 0
    assert await db.read(cursors.list_profile_changes, 0, 9) == [(first, ALICE), (last, BOB)]
    assert await db.read(cursors.list_profile_changes, 0, 1) == [(first, ALICE)]
    for position, stored in ((first, first), (last, last), (first, last)):
        await db.write(cursors.advance, "one", position)
        assert await db.read(cursors.get, "one") == stored
    assert await db.read(cursors.list_profile_changes, last, 9) == []
    assert await db.read(cursors.get, "two") == 0


async def test_blocked_rooms(db: Database) -> None:
    """The first block stays as it is; they are listed by id."""
    for room, by, now in (("!b:x", "@root:x", 1), ("!a:x", "@root:x", 2), ("!b:x", "@other:x", 3)):
        await db.write(blocked.block, room, by, now)

    assert await db.read(blocked.find, "!b:x") == blocked.Block("!b:x", "@root:x", 1)
    assert [one.room_id for one in await db.read(blocked.list_blocked, "", 9)] == ["!a:x", "!b:x"]
    assert [one.room_id for one in await db.read(blocked.list_blocked, "!a:x", 9)] == ["!b:x"]
    for _ in range(2):
        await db.write(blocked.unblock, "!b:x")
    assert await db.read(blocked.find, "!b:x") is None


async def test_an_alias_moves_to_another_room(db: Database) -> None:
    """Both rooms are told of; one that is there already, or is none, is no news."""
    await db.write(aliases.add, "#a:x", "!old:x", "@u:x", 1)
    before = db.position
    for _ in range(2):
        await db.write(aliases.move, "#a:x", "!new:x")
    await db.write(aliases.move, "#none:x", "!new:x")

    assert await db.read(aliases.find_room, "#a:x") == "!new:x"
    assert await db.read(aliases.find_room, "#none:x") is None
    assert db.position == before + 2


async def test_a_room_that_was_made_is_found(db: Database) -> None:
    """By who made it, its name, and from when on."""
    for number, name in enumerate(("One", "Two", "Two")):
        await db.write(insert, "rooms", room_id=f"!{number}", creator="@u:x", created_at=number)
        await db.write(insert, "room_summaries", room_id=f"!{number}", name=name)

    assert await db.read(rooms.find_made, "@u:x", "Two", 0) == "!1"
    assert await db.read(rooms.find_made, "@u:x", "Two", 2) == "!2"
    assert await db.read(rooms.find_made, "@u:x", "One", 1) is None
    assert await db.read(rooms.find_made, "@v:x", "Two", 0) is None
