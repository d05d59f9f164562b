"""The graph of a room's events, on both engines."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from chamberlain.store import graph
from chamberlain.store.database import Database
from chamberlain.store.tx import Write
from tests.support.rows import insert

ROOM = "!room:example.org"


async def add(tx: Write, name: str, prev: Sequence[str], depth: int, **columns: Any) -> None:
    """An event with this name as its id, which follows others."""
    nid = await tx.value("SELECT count(*) FROM events") + 1
    pdu = {"prev_events": [f"${one}" for one in prev], "auth_events": [], "content": {}, "depth": depth}
    row = {
        "nid": nid,
        "event_id": f"${name}",
        "room_id": ROOM,
        "position": nid,
        "depth": depth,
        "before_line": 1,
        "before_ver": nid,
        "pdu": orjson.dumps(pdu),
    }
    await insert(tx, "events", **(row | columns))


@pytest.fixture
async def fork(db: Database) -> Database:
    """A room in which `b` and `x` follow `a`, `y` follows `x`, and `d` brings both together.

    a - b - c - d - e
     \\ x - y /
    """
    for name, prev, depth in (
        ("a", [], 1),
        ("b", ["a"], 2),
        ("x", ["a"], 2),
        ("c", ["b"], 3),
        ("y", ["x"], 3),
        ("d", ["c", "y"], 4),
        ("e", ["d"], 5),
    ):
        await db.write(add, name, prev, depth)
    return db


async def walked(db: Database, *start: str, limit: int = 50, **how: Any) -> str:
    """The names of the events that a walk gives."""
    ids = {f"${name}" for name in start}
    found = await db.read(lambda tx: graph.walk_back(tx, ROOM, ids, limit=limit, **how))
    return "".join(event.event_id[1:] for event in found)


async def test_both_branches_are_walked_the_highest_first(fork: Database) -> None:
    """Each event once, those that the walk starts with included, and no more than asked for."""
    assert await walked(fork, "e") == "edycxba"
    assert await walked(fork, "c") == "cba"
    assert await walked(fork, "c", "x") == "cxba"
    assert await walked(fork, "e", limit=3) == "edy"
    assert await walked(fork, "e", limit=0) == ""
    assert await walked(fork, "nothing") == await walked(fork) == ""


async def test_what_stands_between_two_places(fork: Database) -> None:
    """The walk ends at what the other side has; without its start; not below a depth."""
    assert await walked(fork, "e", with_start=False, but={"$b"}) == "dycxa"
    assert await walked(fork, "e", with_start=False, but={"$b", "$x"}) == "dyc"
    assert await walked(fork, "e", with_start=False, min_depth=3) == "dyc"
    assert await walked(fork, "e", "d", with_start=False, limit=2) == "yc"


async def test_what_is_not_given_is_walked_through(db: Database) -> None:
    """Rejected events are passed; the walk ends at those of which nothing is known but their bytes."""
    await db.write(add, "o", [], 1, position=None, before_line=None, before_ver=None)
    await db.write(add, "a", ["o"], 2)
    await db.write(add, "r", ["a"], 3, rejected="no")
    await db.write(add, "s", ["r"], 4, soft_failed=True)
    await db.write(add, "z", ["s"], 5)
    assert await walked(db, "z") == "zsa"


async def test_events_of_other_rooms_are_not_reached(fork: Database) -> None:
    """Neither as a start nor by a reference that somebody forged."""
    await fork.write(add, "p", [], 1, room_id="!private:example.org")
    await fork.write(add, "f", ["p", "e"], 6)
    assert await walked(fork, "p") == ""
    assert await walked(fork, "f", limit=2) == "fe"


async def test_depths_that_lie_do_not_keep_events_out(db: Database) -> None:
    """An event that claims to be lower than what it follows is met all the same, and each event once."""
    await db.write(add, "a", [], 900)
    await db.write(add, "b", ["a"], 2)
    await db.write(add, "c", ["b", "a"], 3)
    assert await walked(db, "c") == "cab"


async def test_a_walk_through_what_is_not_given_ends(db: Database) -> None:
    """A long chain of rejected events is not followed to its end."""
    for n in range(graph.PASSED_OVER + 5):
        await db.write(add, f"{n}", [f"{n - 1}"] if n else [], n, rejected="no" if n else None)
    assert await walked(db, f"{graph.PASSED_OVER + 4}") == ""


async def test_references_of_old_room_versions(db: Database) -> None:
    """They come with hashes, which do not matter here."""
    pdu = b'{"prev_events":[["$a:x",{"sha256":"h"}]],"auth_events":[["$c:x",{}],["$d:x",{}]],"content":{}}'
    await db.write(add, "old", [], 1, pdu=pdu)
    event = await db.read(graph.find, "$old")
    assert event is not None
    assert (event.prev_events, event.auth_events) == (["$a:x"], ["$c:x", "$d:x"])


async def test_the_auth_chain_of_a_state(db: Database) -> None:
    """All that the events go back to, each once; of themselves only what others go back to."""
    for event, auth in ((2, 1), (3, 2), (3, 1), (4, 3), (5, 2), (9, 8)):
        await db.write(insert, "event_auth", event=event, auth=auth)
    assert await db.read(graph.auth_chain_of, [4, 5]) == {1, 2, 3}
    assert await db.read(graph.auth_chain_of, [3, 4]) == {1, 2, 3}
    assert await db.read(graph.auth_chain_of, []) == set()


async def test_where_the_history_that_arrived_begins(db: Database) -> None:
    """What was fetched from the past and what is an outlier do not count; an empty room begins at 0."""
    assert await db.read(graph.depth_of_arrival, ROOM) == 0
    await db.write(add, "outlier", [], 1, position=None)
    await db.write(add, "fetched", [], 2, position=-1)
    await db.write(add, "join", [], 5)
    await db.write(add, "message", ["join"], 6)
    assert await db.read(graph.depth_of_arrival, ROOM) == 5
