"""The index of words, on both databases and with more than one worker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.wiring import Rooms
from chamberlain.store import search
from chamberlain.store.database import Database
from chamberlain.store.tx import Read
from tests.contract.rooms.test_pipeline import ALICE, worker
from tests.support.server import until


@pytest.fixture
async def services(db: Database) -> AsyncIterator[Rooms]:
    """The services of the first worker, whose background work has not begun."""
    made = worker(db)
    yield made
    await made.close()


async def rows(tx: Read) -> list[tuple[str, int]]:
    """All words of the index with how often they stand in their events."""
    return [
        (row[0], row[1]) for row in await tx.all("SELECT term, hits FROM search_terms ORDER BY term, nid")
    ]


async def found(db: Database, room: str, *words: str, by_rank: bool = False) -> list[str]:
    """The bodies of the messages with these words."""
    hits = await db.snapshot(
        search.find,
        [room],
        words,
        RoomEventFilter(),
        types=["m.room.message"],
        by_rank=by_rank,
        skip=0,
        limit=10,
    )
    assert all(hit.total == len(hits) for hit in hits)
    return [hit.event.content["body"] for hit in hits]


async def test_each_event_is_indexed_once(db: Database, services: Rooms) -> None:
    """However often and by however many workers at once."""
    other = worker(db)
    room = await services.create.create_room(ALICE, RoomOptions())
    for n in range(120):
        await services.submit.send(ALICE, room, "m.room.message", {"body": f"word {n} word"})
    await asyncio.gather(services.search_index.catch_up(), other.search_index.catch_up())
    await services.search_index.catch_up()
    await other.close()
    indexed = await db.snapshot(rows)

    assert [hits for term, hits in indexed if term == "word"] == [2] * 120
    assert len(indexed) == 240
    assert await found(db, room, "word", "7") == ["word 7 word"]


async def test_order_and_rank(db: Database, services: Rooms) -> None:
    """The newest first, or the one with the words most often."""
    room = await services.create.create_room(ALICE, RoomOptions())
    for body in ("fish fish", "fish chips", "fish"):
        await services.submit.send(ALICE, room, "m.room.message", {"body": body})
    await services.search_index.catch_up()

    assert await found(db, room, "fish") == ["fish", "fish chips", "fish fish"]
    assert await found(db, room, "fish", by_rank=True) == ["fish fish", "fish", "fish chips"]
    assert await found(db, "!other:example.org", "fish") == []


async def test_redacted_words_are_forgotten(db: Database, services: Rooms) -> None:
    """A redaction takes an event's words out of the index, whether they were in it or not yet."""
    room = await services.create.create_room(ALICE, RoomOptions())
    first = await services.submit.send(ALICE, room, "m.room.message", {"body": "secret"})
    await services.search_index.catch_up()
    assert await db.snapshot(rows) == [("secret", 1)]
    await services.messages.redact(ALICE, room, first)
    second = await services.submit.send(ALICE, room, "m.room.message", {"body": "another secret"})
    await services.messages.redact(ALICE, room, second)
    await services.search_index.catch_up()

    assert await db.snapshot(rows) == []


async def test_a_purged_room_leaves_the_index(db: Database, services: Rooms) -> None:
    """Only the words of that room are forgotten."""
    one = await services.create.create_room(ALICE, RoomOptions(name="one"))
    await services.create.create_room(ALICE, RoomOptions(topic="two"))
    await services.search_index.catch_up()
    await db.write(search.forget_room, one)

    assert await db.snapshot(rows) == [("two", 1)]


async def test_what_arrives_is_indexed_by_itself(db: Database, services: Rooms) -> None:
    """Once started, the index follows without anyone asking, after a restart too."""
    room = await services.create.create_room(ALICE, RoomOptions())
    await services.submit.send(ALICE, room, "m.room.message", {"body": "early"})
    await services.start()
    await until(lambda: found(db, room, "early"))
