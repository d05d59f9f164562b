"""What waits to be sent to other servers, in the store."""

from chamberlain.store import kinds, outbox
from chamberlain.store.database import Database
from chamberlain.store.tx import Change, Write


async def add(tx: Write, *edus: tuple[str, bytes, str | None]) -> None:
    """Add EDUs in one transaction."""
    for destination, edu, key in edus:
        outbox.add_edu(tx, destination, edu, key)


async def waiting(db: Database, destination: str) -> list[bytes]:
    """What waits for a server, in order."""
    return [row.edu for row in await db.read(outbox.list_edus, destination, 100)]


async def test_edus_wait_in_order(db: Database) -> None:
    """Each server has a queue of its own, and the change stream tells of each EDU."""
    told: list[Change] = []
    db.subscribe(told.extend)

    await db.write(add, ("a.test", b"1", None), ("b.test", b"2", None), ("a.test", b"3", None))

    assert await waiting(db, "a.test") == [b"1", b"3"]
    assert await waiting(db, "b.test") == [b"2"]
    assert [(change.kind, change.entity) for change in told] == [
        (kinds.OUTBOX, name) for name in ("a.test", "b.test", "a.test")
    ]
    assert sorted(await db.read(outbox.list_edu_destinations)) == ["a.test", "b.test"]


async def test_a_newer_edu_takes_the_place_of_an_older_one(db: Database) -> None:
    """Of one server and one key only the newest is left, in one transaction too."""
    await db.write(add, ("a.test", b"1", "k"), ("b.test", b"1", "k"), ("a.test", b"2", None))
    await db.write(add, ("a.test", b"3", "k"), ("a.test", b"4", "k"), ("a.test", b"5", "other"))

    assert await waiting(db, "a.test") == [b"2", b"4", b"5"]
    assert await waiting(db, "b.test") == [b"1"]


async def test_one_edu_for_several_servers_is_one_change(db: Database) -> None:
    """However many servers there are."""
    told: list[Change] = []
    db.subscribe(told.extend)

    async def add_for_all(tx: Write, edu: bytes) -> None:
        outbox.add_edu_for_all(tx, ["a.test", "b.test"], edu, "k")
        outbox.add_edu_for_all(tx, [], edu, "k")

    await db.write(add_for_all, b"1")
    await db.write(add_for_all, b"2")

    assert await waiting(db, "a.test") == await waiting(db, "b.test") == [b"2"]
    assert [(change.entity, change.payload) for change in told] == [("", ("a.test", "b.test"))] * 2


async def test_what_was_sent_goes(db: Database) -> None:
    """What came meanwhile stays."""
    await db.write(add, ("a.test", b"1", None), ("a.test", b"2", None))
    sent = await db.read(outbox.list_edus, "a.test", 1)
    await db.write(add, ("a.test", b"3", None))

    await db.write(outbox.delete_edus, "a.test", [edu.position for edu in sent])

    assert await waiting(db, "a.test") == [b"2", b"3"]
