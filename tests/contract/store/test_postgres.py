"""What only PostgreSQL needs: connections that come and go, and rows of many tables in one statement."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.pool import Pool
from chamberlain.store.tx import Read, Write
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres


class Connection:
    """What a pool knows of a connection."""

    def __init__(self) -> None:
        self.closed = False

    def is_closed(self) -> bool:
        """Whether it was lost."""
        return self.closed

    async def close(self) -> None:
        """Close it."""
        self.closed = True


@pytest.fixture
def made() -> list[Connection]:
    """The connections that were opened."""
    return []


@pytest.fixture
def pool(made: list[Connection]) -> Pool:
    """A pool of two."""

    async def connect() -> Connection:
        made.append(Connection())
        return made[-1]

    return Pool(connect, 2)


async def test_connections_are_opened_as_needed_and_shared(pool: Pool, made: list[Connection]) -> None:
    """No more than the size are open; who comes too late waits for one that is given back."""
    first = await pool.take()
    pool.give_back(first)
    assert await pool.take() is first
    second = await pool.take()
    third = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    assert not third.done()
    pool.give_back(second)

    assert await third is second
    assert len(made) == 2


async def test_a_lost_connection_is_replaced(pool: Pool, made: list[Connection]) -> None:
    """One that broke while it was idle, or in use, does not count any more."""
    first, second = await pool.take(), await pool.take()
    waiting = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    first.closed = True
    pool.give_back(first)
    assert await waiting is made[2]
    pool.give_back(second)
    second.closed = True

    assert await pool.take() is made[3]


async def test_who_gives_up_waiting_takes_nothing(pool: Pool) -> None:
    """A cancelled wait does not swallow the connection that others wait for."""
    first, _ = await pool.take(), await pool.take()
    impatient = asyncio.create_task(pool.take())
    patient = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give_back(first)
    impatient.cancel()

    assert await patient is first
    assert impatient.cancelled()


async def test_a_failure_to_connect_leaves_room_for_the_next_try() -> None:
    """Errors reach whoever asked, and the place is free again."""
    failures = [OSError("down")]

    async def connect() -> Connection:
        if failures:
            raise failures.pop()
        return Connection()

    pool = Pool(connect, 1)
    with pytest.raises(OSError, match="down"):
        await pool.take()

    assert isinstance(await pool.take(), Connection)


@pytest.fixture
async def postgres_db(postgres: Postgres, clock: FakeClock) -> AsyncIterator[Database]:
    """A database on PostgreSQL with one connection for reads."""
    opened = await open_database(postgres.new_database(), clock.now, pool_size=1)
    yield opened
    await opened.close()


async def sleep(tx: Read) -> None:
    """A read that takes long."""
    await tx.value("SELECT CAST(pg_sleep(30) AS TEXT)")


async def answer(tx: Read) -> int:
    """A read."""
    number: int = await tx.value("SELECT CAST(42 AS BIGINT)")
    return number


@pytest.mark.parametrize("kind", ["read", "snapshot"])
async def test_a_cancelled_read_does_not_harm_the_next(postgres_db: Database, kind: str) -> None:
    """Its connection, the only one, is replaced."""
    reading = asyncio.create_task(getattr(postgres_db, kind)(sleep))
    assert await asyncio.wait([reading], timeout=0.2) == (set(), {reading})
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert await getattr(postgres_db, kind)(answer) == 42


async def test_a_failed_snapshot_does_not_harm_the_next(postgres_db: Database) -> None:
    """Its transaction is over, whether the database refused or the function did."""

    async def refused(tx: Read) -> None:
        await tx.value("SELECT CAST('x' AS BIGINT)")

    async def fail(tx: Read) -> None:
        await answer(tx)
        raise KeyError

    with pytest.raises(asyncpg.DataError):
        await postgres_db.snapshot(refused)
    with pytest.raises(KeyError):
        await postgres_db.snapshot(fail)

    assert await postgres_db.snapshot(answer) == 42


async def put(tx: Write, key: str) -> None:
    """Store a key late."""
    await tx.defer("INSERT INTO meta (key, value) VALUES (:key, '')", [{"key": key}])


async def keys(tx: Read) -> list[str]:
    """What `put` has stored."""
    return [row[0] for row in await tx.all("SELECT key FROM meta WHERE key LIKE 'late %' ORDER BY key")]


async def test_deferred_rows_are_there_for_the_next_statement_and_in_the_end(db: Database) -> None:
    """They are seen by what follows in the transaction, and committed with and without positions."""

    async def write(tx: Write) -> list[str]:
        await put(tx, "late 1")
        await tx.defer("INSERT INTO followers (name, position) VALUES (:name, 7)", [{"name": "late"}])
        seen = await keys(tx)
        await put(tx, "late 2")
        tx.place("test", "x").write(
            "INSERT INTO followers (name, position) VALUES (:name, :position)", name="placed"
        )
        return seen

    async def positions(tx: Read) -> dict[str, int]:
        return dict(await tx.all("SELECT name, position FROM followers"))

    assert await db.write(write) == ["late 1"]
    await db.write(put, "late 3")

    assert await db.read(keys) == ["late 1", "late 2", "late 3"]
    assert await db.read(positions) == {"late": 7, "placed": db.position}


async def test_deferred_rows_go_with_their_unit(db: Database) -> None:
    """In one group, a unit that fails takes its own along, and those of no other."""

    async def fail(tx: Write) -> None:
        await put(tx, "late bad")
        raise KeyError

    units = [db.write(put, "late 1"), db.write(fail), db.write(put, "late 2"), db.write(put, "late 2")]
    failures = [failure for failure in await asyncio.gather(*units, return_exceptions=True) if failure]

    assert await db.read(keys) == ["late 1", "late 2"]
    assert len(failures) == 2


async def test_who_came_into_conflict_behind_a_savepoint_is_tried_again(postgres_db: Database) -> None:
    """As one that was alone in its transaction is; the others of the group do not wait for it in vain."""
    tries = 0

    async def unlucky(tx: Write) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        return tries

    async def lucky(tx: Write) -> int:
        return 7

    assert await asyncio.gather(
        postgres_db.write(lucky), postgres_db.write(unlucky), postgres_db.write(lucky)
    ) == [7, 2, 7]
