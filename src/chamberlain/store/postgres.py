"""PostgreSQL through asyncpg: a pool for reads, one group writer for each worker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, Literal, LiteralString, ParamSpec, TypeVar

import asyncpg

from chamberlain.runtime.log import get_logger
from chamberlain.store.compile import for_postgres, set_based
from chamberlain.store.database import Database, position_of
from chamberlain.store.group import GROUP_SIZE, Unit, run_group
from chamberlain.store.tx import Change, Placement, Read, Row

P = ParamSpec("P")
T = TypeVar("T")

RETRIES = 5
CHANNEL = "chamberlain"
GAP_PAGE = 10_000
# Queries go along indexes, in their order. Without these the planner reads whole rooms through a bitmap, or whole
# tables, as long as a young database has no statistics (measured: 4 ms for the last ten events, against 0.05).
_PLANNING = {"enable_bitmapscan": "off", "enable_seqscan": "off", "jit": "off"}
_ESCAPE = "\ufdd0"
_NUL = "\ufdd0n"
_ESCAPED = "\ufdd0e"

log = get_logger("store")


def escape(value: Any) -> Any:
    """Give a parameter as PostgreSQL takes it: TEXT refuses U+0000, so it is escaped, reversibly."""
    if type(value) is str:
        if "\x00" in value or _ESCAPE in value:
            return value.replace(_ESCAPE, _ESCAPED).replace("\x00", _NUL)
    elif type(value) in (list, tuple, set, frozenset):
        return [escape(item) for item in value]
    return value


def unescape(value: str) -> str:
    """Give a text as it was before `escape`."""
    return value.replace(_NUL, "\x00").replace(_ESCAPED, _ESCAPE)


class PostgresTx:
    """Statements on one connection."""

    __slots__ = ("_connection", "_sets", "placements")

    def __init__(self, connection: Any, sets: dict[str, str | None]) -> None:
        self._connection = connection
        self._sets = sets
        self.placements: list[Placement] = []

    async def _fetch(self, sql: str, params: dict[str, Any]) -> list[Row]:
        compiled = for_postgres(sql)
        records = await self._connection.fetch(
            compiled.text, *[escape(params[name]) for name in compiled.names]
        )
        return [
            tuple(
                [
                    value if type(value) is not str or _ESCAPE not in value else unescape(value)
                    for value in record
                ]
            )
            for record in records
        ]

    async def one(self, sql: LiteralString, /, **params: Any) -> Row | None:
        """Give the first row, or None."""
        rows = await self._fetch(sql, params)
        return rows[0] if rows else None

    async def all(self, sql: LiteralString, /, **params: Any) -> list[Row]:
        """Give every row."""
        return await self._fetch(sql, params)

    async def value(self, sql: LiteralString, /, **params: Any) -> Any:
        """Give the first column of the first row, or None."""
        rows = await self._fetch(sql, params)
        return rows[0][0] if rows else None

    async def run(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement and give how many rows it touched."""
        compiled = for_postgres(sql)
        status: str = await self._connection.execute(
            compiled.text, *[escape(params[name]) for name in compiled.names]
        )
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def many(self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run one statement for many rows; an `INSERT … VALUES` of them is written as one set."""
        if not rows:
            return
        compiled = for_postgres(sql)
        if sql not in self._sets:
            prepared = await self._connection.prepare(compiled.text)
            kinds = [parameter.name for parameter in prepared.get_parameters()]
            self._sets[sql] = set_based(sql, compiled.names, kinds)
        as_set = self._sets[sql]
        if as_set is None:
            await self._connection.executemany(
                compiled.text, [[escape(row[name]) for name in compiled.names] for row in rows]
            )
            return
        await self._connection.execute(
            as_set, *[[escape(row[name]) for row in rows] for name in compiled.names]
        )

    async def script(self, sql: LiteralString, /) -> None:
        """Run a statement that gives nothing."""
        await self._connection.execute("BEGIN" if sql == "BEGIN IMMEDIATE" else sql)

    def place(self, kind: str, entity: str, ref: str | None = None, payload: Any = None) -> Placement:
        """Take a place in the change stream."""
        placement = Placement(kind, entity, ref, payload)
        self.placements.append(placement)
        return placement


async def _changes_between(tx: Read, after: int, before: int) -> list[Change]:
    rows = await tx.all(
        "SELECT position, kind, entity, ref FROM changes WHERE position > :after AND position < :before"
        " ORDER BY position LIMIT :page",
        after=after,
        before=before,
        page=GAP_PAGE,
    )
    return [Change(*row) for row in rows]


async def _leave_as_it_is(_connection: Any) -> None:
    """Spares each read a round trip that would undo session settings, of which nothing here makes any."""


class PostgresDatabase(Database):
    """A PostgreSQL database that this and other workers share."""

    dialect: Literal["sqlite", "postgres"] = "postgres"

    def __init__(self, pool: Any, writer: Any, now: Callable[[], int], *, shared: bool) -> None:
        super().__init__()
        self._pool = pool
        self._connection = writer
        self._sets: dict[str, str | None] = {}
        self._now = now
        self._shared = shared
        self._queue: asyncio.Queue[Unit | None] = asyncio.Queue()
        self._listener: Any = None
        self._behind = asyncio.Lock()
        self._catching_up: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, url: str, now: Callable[[], int], *, pool_size: int = 8, shared: bool = False
    ) -> "PostgresDatabase":
        """Connect; `shared` says that other workers write to this database too."""
        pool = await asyncpg.create_pool(
            url, min_size=1, max_size=pool_size, server_settings=_PLANNING, reset=_leave_as_it_is
        )
        writer = await asyncpg.connect(url, server_settings=_PLANNING)
        database = cls(pool, writer, now, shared=shared)
        database.position = await database.read(position_of)
        if shared:
            database._listener = await asyncpg.connect(url)
            await database._listener.add_listener(CHANNEL, database._heard)
        database._task = asyncio.get_running_loop().create_task(database._write_forever())
        return database

    async def read(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a short read on a connection of the pool."""
        async with self._pool.acquire() as connection:
            return await fn(PostgresTx(connection, self._sets), *args, **kwargs)

    async def snapshot(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read of any length, all of it from one state of the database."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await fn(PostgresTx(connection, self._sets), *args, **kwargs)

    def _enqueue(self, unit: Unit) -> None:
        self._queue.put_nowait(unit)

    @property
    def waiting(self) -> int:
        """How many units wait for the group writer."""
        return self._queue.qsize()

    async def _write_forever(self) -> None:
        tx = PostgresTx(self._connection, self._sets)
        stopping = False
        while not stopping:
            first = await self._queue.get()
            if first is None:
                break
            units = [first]
            while len(units) < GROUP_SIZE and not self._queue.empty():
                unit = self._queue.get_nowait()
                if unit is None:
                    stopping = True
                    break
                units.append(unit)
            await self._write_group(tx, units)

    async def _write_group(self, tx: PostgresTx, units: list[Unit]) -> None:
        changes: list[Change] = []
        for attempt in range(RETRIES):
            try:
                changes = await run_group(tx, units, self._now)
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                if attempt == RETRIES - 1:
                    units[0].error = error
                if len(units) > 1:
                    await self._write_apart(tx, units)
                    return
                continue
            except Exception as error:
                if len(units) > 1:
                    await self._write_apart(tx, units)
                    return
                units[0].error = error
                break
            await self._deliver_changes(changes)
            break
        for unit in units:
            unit.deliver(unit)
        if changes and self._shared:
            # After the writers: their answers need not wait for the other workers.
            await self._listener.execute("SELECT pg_notify($1, $2)", CHANNEL, str(changes[-1].position))

    async def _write_apart(self, tx: PostgresTx, units: list[Unit]) -> None:
        for unit in units:
            unit.error = unit.result = None
            await self._write_group(tx, [unit])

    async def _deliver_changes(self, changes: list[Change]) -> None:
        if not changes:
            return
        async with self._behind:
            if changes[0].position > self.position + 1:
                await self._read_gap(changes[0].position)
            self._told([change for change in changes if change.position > self.position])

    async def _read_gap(self, before: int) -> None:
        while self.position + 1 < before:
            gap = await self.read(_changes_between, self.position, before)
            if not gap:
                return
            self._told(gap)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if int(payload) > self.position:
            task = asyncio.get_running_loop().create_task(self._catch_up(int(payload)))
            self._catching_up.add(task)
            task.add_done_callback(self._catching_up.discard)

    async def _catch_up(self, position: int) -> None:
        async with self._behind:
            await self._read_gap(position + 1)

    async def close(self) -> None:
        """Finish what was given to the writer and close every connection."""
        await self._queue.put(None)
        if self._task is not None:
            await self._task
        await asyncio.gather(*self._catching_up)
        if self._listener is not None:
            await self._listener.close()
        await self._connection.close()
        await self._pool.close()
