"""The database's promises, on both engines."""

import asyncio

import pytest

from chamberlain.store.connect import open_database
from chamberlain.store.database import Database, position_of
from chamberlain.store.sequences import Sequence
from chamberlain.store.tx import Change, Read, Write
from tests.support.postgres import Postgres


async def put(tx: Write, key: str, value: str) -> str:
    """Store a value and announce it."""
    await tx.run(
        "INSERT INTO meta (key, value) VALUES (:key, :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        key=key,
        value=value,
    )
    tx.place("test", key, payload=value)
    return value


async def put_many(tx: Write, items: list[tuple[str, str]]) -> list[str]:
    """Store a batch; `bad` is refused by the database."""
    await tx.many(
        "INSERT INTO meta (key, value) VALUES (:key, :value)",
        [{"key": key, "value": None if value == "bad" else value} for key, value in items],
    )
    for key, value in items:
        tx.place("test", key, value)
    return [value for _, value in items]


async def fetch(tx: Read, keys: list[str]) -> dict[str, str]:
    """Give the values of some keys."""
    rows = await tx.all("SELECT key, value FROM meta WHERE key = ANY(:keys) ORDER BY key", keys=keys)
    return dict(rows)


async def test_what_was_written_can_be_read(db: Database) -> None:
    """A write that returned is seen by a read and by a snapshot."""
    assert await db.write(put, "a", "1") == "1"

    assert await db.read(fetch, ["a", "b"]) == {"a": "1"}
    assert await db.snapshot(fetch, ["a"]) == {"a": "1"}


async def test_a_failed_unit_leaves_nothing_and_harms_no_other(db: Database) -> None:
    """Of many waiting units the failing one raises, the others commit, and positions have no holes."""

    async def fail(tx: Write) -> None:
        await put(tx, "failed", "x")
        raise KeyError("no")

    told: list[Change] = []
    db.subscribe(told.extend)
    results = await asyncio.gather(
        *(db.write(put, f"k{n}", str(n)) for n in range(20)), db.write(fail), return_exceptions=True
    )

    assert isinstance(results[-1], KeyError)
    assert results[:-1] == [str(n) for n in range(20)]
    assert await db.read(fetch, ["failed", "k3"]) == {"k3": "3"}
    assert [change.position for change in told] == list(range(1, 21))
    assert await db.read(position_of) == 20


async def test_a_batch_with_a_bad_item_is_written_item_by_item(db: Database) -> None:
    """One bad item of a batch fails alone."""
    items = [("a", "1"), ("b", "bad"), ("c", "3")]
    results = await asyncio.gather(
        *(db.write_batch(put_many, item) for item in items), return_exceptions=True
    )

    assert results[0] == "1"
    assert isinstance(results[1], Exception)
    assert results[2] == "3"
    assert await db.read(fetch, ["a", "b", "c"]) == {"a": "1", "c": "3"}


async def test_rows_get_the_position_of_their_change(db: Database) -> None:
    """`Placement.write` binds the position that the change got."""

    async def placed(tx: Write) -> None:
        tx.place("x", "@a:b").write(
            "INSERT INTO meta (key, value) VALUES (:key, CAST(CAST(:position AS BIGINT) AS TEXT))", key="at"
        )

    told: list[Change] = []
    db.subscribe(told.extend)
    await db.write(put, "first", "")
    await db.write(placed)

    assert await db.read(fetch, ["at"]) == {"at": "2"}
    assert [(change.position, change.kind) for change in told] == [(1, "test"), (2, "x")]


async def test_nul_and_its_escape_survive(db: Database) -> None:
    """Text with U+0000 and with the escape character comes back as it was."""
    odd = "a\x00b\ufdd0n\ufdd0"
    await db.write(put, "odd", odd)

    assert await db.read(fetch, ["odd"]) == {"odd": odd}


async def test_waiting_for_something_else_inside_a_transaction_is_refused_on_sqlite(db: Database) -> None:
    """A store function cannot reach the network from inside a transaction."""

    async def waits(tx: Write) -> None:
        await asyncio.sleep(0)

    if db.dialect == "sqlite":
        with pytest.raises(RuntimeError):
            await db.write(waits)
    assert await db.write(put, "after", "1") == "1"


async def test_ids_are_given_once(db: Database) -> None:
    """Two takers of one sequence never get the same id."""
    first, second = Sequence(db, "event"), Sequence(db, "event")
    taken = await asyncio.gather(*(s.take(n) for s in (first, second) for n in (1, 3, 700, 700, 1500)))
    ids = [n for block in taken for n in block]

    assert len(set(ids)) == len(ids) == 2 * 2904


async def test_the_database_server_may_go_away_and_come_back(postgres: Postgres) -> None:
    """What is written while connections are cut fails; what is written afterwards is there, and others hear of it."""
    url = postgres.new_database()
    db = await open_database(url, lambda: 0, shared=True)
    other = await open_database(url, lambda: 0, shared=True)
    told: list[Change] = []
    other.subscribe(told.extend)
    await db.write(put, "before", "1")
    postgres.cut_connections(url)
    outcomes = [await asyncio.gather(db.write(put, f"k{n}", "2"), return_exceptions=True) for n in range(3)]

    assert await db.write(put, "after", "3") == "3"
    assert await db.read(fetch, ["before", "after"]) == {"before": "1", "after": "3"}
    assert any(not isinstance(outcome, Exception) for (outcome,) in outcomes)
    async with asyncio.timeout(60):
        while not any(change.entity == "after" for change in told):
            await asyncio.sleep(0.01)
    await db.close()
    await other.close()
