"""PostgreSQL through asyncpg: a pool for reads, one group writer for each worker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, Literal, LiteralString, ParamSpec, TypeVar

import asyncpg

from chamberlain.runtime.log import get_logger
from chamberlain.store.channel import LOST, Channel
from chamberlain.store.compile import SetInsert, for_postgres, set_insert, write_together
from chamberlain.store.database import Database, position_of
from chamberlain.store.group import GROUP_SIZE, Statements, Unit, run_group
from chamberlain.store.pool import Pool
from chamberlain.store.tx import Change, Placement, Read, Row, Stale

P = ParamSpec("P")
T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]

CONFLICTS = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What a transaction may meet that has another one beside it: it is to be run again."""
RETRIES = 5
LOOK_SECONDS = 2.0
"""How often a worker looks for what no notification told it of."""
GAP_PAGE = 10_000
STATEMENTS = 1_000
# Queries go along indexes, in their order. Without these the planner reads whole rooms through a bitmap, or whole
# tables, as long as a young database has no statistics (measured: 4 ms for the last ten events, against 0.05).
_PLANNING = {"enable_bitmapscan": "off", "enable_seqscan": "off", "jit": "off"}
# What is written is planned once: with the values at hand the planner finds the same plan, each time anew.
_WRITING = {**_PLANNING, "plan_cache_mode": "force_generic_plan"}
_ESCAPE = "\ufdd0"
_NUL = "\ufdd0n"
_ESCAPED = "\ufdd0e"

_log = get_logger("store")


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
    """Statements on one connection. What is deferred, and BEGIN itself, goes before the next of them.

    So a unit that only has rows to insert is one statement in all.
    """

    __slots__ = ("_connection", "_deferred", "_each", "_inserts", "_must_begin", "is_alone", "placements")

    def __init__(self, connection: Any, inserts: "Inserts | None" = None) -> None:
        """`inserts`: what has been found out on other connections already."""
        self._connection = connection
        self._inserts = inserts or Inserts()
        self._deferred: dict[LiteralString, list[Mapping[str, Any]]] = {}
        self._each: set[str] = set()
        """Those of the deferred of which each row must be written."""
        self._must_begin = False
        self.is_alone = False
        self.placements: list[Placement] = []

    async def _fetch(self, sql: str, params: dict[str, Any]) -> list[Row]:
        if self._must_begin or self._deferred:
            await self._catch_up()
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
        if self._must_begin or self._deferred:
            await self._catch_up()
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
        if self._must_begin or self._deferred:
            await self._catch_up()
        if await self._inserts.find(self._connection, sql) is not None:
            await self._write_sets({}, {sql: rows})
            return
        compiled = for_postgres(sql)
        values = [[escape(row[name]) for name in compiled.names] for row in rows]
        if len(values) == 1:
            await self._connection.execute(compiled.text, *values[0])
        else:
            await self._connection.executemany(compiled.text, values)

    async def defer(
        self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /, *, each: bool = False
    ) -> None:
        """Have many rows inserted together with what is written last."""
        if await self._inserts.find(self._connection, sql) is None:
            raise TypeError(f"only an INSERT … VALUES can be deferred, not {sql}")
        if rows:
            self._deferred.setdefault(sql, []).extend(rows)
            if each:
                self._each.add(sql)

    async def _catch_up(self) -> None:
        if self._must_begin:
            self._must_begin = False
            await self._connection.execute("BEGIN")
        if self._deferred:
            deferred, self._deferred = self._deferred, {}
            await self._write_sets({}, deferred)

    async def _write_sets(
        self, placed: Mapping[LiteralString, Rows], others: Mapping[LiteralString, Rows], count: int = 0
    ) -> int:
        """Write all these rows in one statement; give the position before the `count` that it takes."""
        single = all(len(rows) == 1 for rows in (*placed.values(), *others.values()))
        each = frozenset(self._each)
        self._each.clear()
        text, inserts = self._inserts.together(
            tuple(sorted(placed)), tuple(sorted(others)), single=single, each=each
        )
        values: list[Any] = [count] if placed else []
        if each:
            values.append(sum(len(others[sql]) for sql in others if sql in each))
        for sql, insert in inserts:
            rows = placed[sql] if sql in placed else others[sql]
            if single:
                values += [escape(rows[0][name]) for name in insert.names]
            else:
                values += [
                    [escape(row[name]) for row in rows] if kind == "text" else [row[name] for row in rows]
                    for name, kind in zip(insert.names, insert.types, strict=True)
                ]
        try:
            before: int | None = await self._connection.fetchval(text, *values)
        except asyncpg.DivisionByZeroError:
            raise Stale from None
        return before or 0

    async def finish(self, count: int, placed: Statements) -> int:
        """Take `count` positions, write all rows that are due; give the position before."""
        others, self._deferred = self._deferred, {}
        sets: Statements = {}
        apart: Statements = {}
        for sql, rows in placed.items():
            known = await self._inserts.find(self._connection, sql)
            (sets if known is not None else apart)[sql] = rows
        if apart and self._must_begin:
            await self._catch_up()
        before = await self._write_sets(sets, others, count) if sets or others else 0
        for sql, rows in apart.items():
            for row in rows:
                row["position"] += before
            await self.many(sql, rows)
        return before

    async def script(self, sql: LiteralString, /) -> None:
        """Run a statement that gives nothing."""
        if sql == "BEGIN IMMEDIATE":
            self._must_begin = True
            return
        if sql.startswith("ROLLBACK"):
            # A savepoint is set when all before it is written: what is left is of the unit that failed.
            self._deferred = {}
            self._each.clear()
        elif sql.startswith("SAVEPOINT") and (self._must_begin or self._deferred):
            await self._catch_up()
        if self._must_begin:
            # COMMIT or ROLLBACK: there was one statement at most, which is a transaction by itself.
            self._must_begin = False
            return
        await self._connection.execute(sql)

    def place(self, kind: str, entity: str, ref: str | None = None, payload: Any = None) -> Placement:
        """Take a place in the change stream."""
        placement = Placement(kind, entity, ref, payload)
        self.placements.append(placement)
        return placement


class Inserts:
    """The inserts that can be written as sets, and the statements that write several of them. Kept for ever."""

    def __init__(self) -> None:
        self._known: dict[str, SetInsert | None] = {}
        self._texts: dict[tuple[Any, ...], tuple[str, list[tuple[str, SetInsert]]]] = {}

    async def find(self, connection: Any, sql: str) -> SetInsert | None:
        """Give the set form of a text, or None where it has none."""
        if sql not in self._known:
            compiled = for_postgres(sql)
            prepared = await connection.prepare(compiled.text)
            kinds = [parameter.name for parameter in prepared.get_parameters()]
            self._known[sql] = set_insert(sql, compiled.names, kinds)
        return self._known[sql]

    def together(
        self, placed: tuple[str, ...], others: tuple[str, ...], *, single: bool, each: frozenset[str]
    ) -> tuple[str, list[tuple[str, SetInsert]]]:
        """Give the statement that writes all these texts' rows, which have been found, and the order of them."""
        key = placed, others, single, each
        known = self._texts.get(key)
        if known is None:
            inserts = [
                (sql, insert) for sql in (*placed, *others) if (insert := self._known[sql]) is not None
            ]
            sets = [insert for _, insert in inserts]
            text = write_together(
                sets[: len(placed)],
                sets[len(placed) :],
                single=single,
                each=frozenset(place for place, sql in enumerate(others) if sql in each),
            )
            known = self._texts[key] = text, inserts
        return known


async def _changes_between(tx: Read, after: int, before: int) -> list[Change]:
    rows = await tx.all(
        "SELECT position, kind, entity, ref FROM changes WHERE position > :after AND position < :before"
        " ORDER BY position LIMIT :page",
        after=after,
        before=before,
        page=GAP_PAGE,
    )
    return [Change(*row) for row in rows]


async def _from_one_state(tx: Any, fn: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    await tx.script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        result = await fn(tx, *args, **kwargs)
    except Exception:
        await tx.script("ROLLBACK")
        raise
    # After a cancellation the connection is thrown away, and the transaction with it.
    await tx.script("COMMIT")
    return result


class PostgresDatabase(Database):
    """A PostgreSQL database that this and other workers share."""

    dialect: Literal["sqlite", "postgres"] = "postgres"

    def __init__(
        self, pool: Pool, connect: Callable[[], Awaitable[Any]], writer: Any, now: Callable[[], int]
    ) -> None:
        super().__init__()
        self._pool = pool
        self._connection = writer
        self._inserts = Inserts()
        self._now = now
        self._queue: asyncio.Queue[Unit | None] = asyncio.Queue()
        self._channel: Channel | None = None
        self._connect = connect
        self._behind = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._catching_up: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, url: str, now: Callable[[], int], *, pool_size: int = 8, shared: bool = False
    ) -> "PostgresDatabase":
        """Connect; `shared` says that other workers write to this database too."""
        connect = partial(
            asyncpg.connect,
            url,
            # Every statement of this program, and plans that are never thrown away.
            statement_cache_size=STATEMENTS,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=0,
        )
        reader = partial(connect, server_settings=_PLANNING)
        writer = partial(connect, server_settings=_WRITING)
        database = cls(Pool(reader, pool_size), writer, await writer(), now)
        database.position = await database.read(position_of)
        loop = asyncio.get_running_loop()
        if shared:
            database.carrier = database._channel = Channel(partial(asyncpg.connect, url), database._heard)
            await database._channel.open()
            database._looking = loop.create_task(database._look_forever(database._channel))
        database._task = loop.create_task(database._write_forever())
        return database

    async def read(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a short read on a connection of the pool."""
        connection = await self._pool.take()
        try:
            return await fn(PostgresTx(connection, self._inserts), *args, **kwargs)
        except asyncio.CancelledError:
            # It may be in the middle of an answer.
            connection.terminate()
            raise
        finally:
            self._pool.give_back(connection)

    async def snapshot(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read of any length, all of it from one state of the database."""
        return await self.read(_from_one_state, fn, *args, **kwargs)

    def _enqueue(self, unit: Unit) -> None:
        self._queue.put_nowait(unit)

    @property
    def waiting(self) -> int:
        """How many units wait for the group writer."""
        return self._queue.qsize()

    async def _write_forever(self) -> None:
        tx = PostgresTx(self._connection, self._inserts)
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
            try:
                if self._connection.is_closed():
                    self._connection = await self._connect()
                    tx = PostgresTx(self._connection, self._inserts)
                await self._write_group(tx, units)
            except Exception as error:
                # The writer outlives the database server; what it was given meanwhile is refused.
                _log.error("could not write", error=repr(error))
                for waiting in units:
                    waiting.error = waiting.error or error
                    waiting.deliver(waiting)

    async def _write_group(self, tx: PostgresTx, units: list[Unit]) -> None:
        changes: list[Change] = []
        for attempt in range(RETRIES):
            try:
                async with self._committing:
                    changes = await run_group(tx, units, self._now)
                    await self._deliver_changes(changes)
            except CONFLICTS as error:
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
            break
        # One that came into conflict with another worker behind a savepoint has had no try of its own yet.
        again = [unit for unit in units if isinstance(unit.error, CONFLICTS)] if len(units) > 1 else []
        for unit in units:
            if unit not in again:
                unit.deliver(unit)
        if changes and self._channel is not None:
            # After the writers: their answers need not wait for the other workers.
            await self._channel.tell(changes[-1].position)
        if again:
            await self._write_apart(tx, again)

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

    def _heard(self, position: int) -> None:
        if position > self.position:
            task = asyncio.get_running_loop().create_task(self._catch_up(position))
            self._catching_up.add(task)
            task.add_done_callback(self._catching_up.discard)

    async def _look_forever(self, channel: Channel) -> None:
        """Find what no notification told of."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await channel.open()
                position = await self.read(position_of)
            except LOST as error:
                _log.warning("could not look for news", error=repr(error))
            else:
                await self._catch_up(position)

    async def catch_up(self) -> None:
        """Hear of all that other workers have committed before now."""
        if self._channel is None:
            return
        position = await self.read(position_of)
        if position > self.position:
            async with self._committing:
                # What is being committed here is told by who did it, and better.
                pass
            await self._catch_up(position)

    async def _catch_up(self, position: int) -> None:
        try:
            async with self._behind:
                await self._read_gap(position + 1)
        except LOST as error:
            _log.warning("could not read what other workers did", error=repr(error))

    async def close(self) -> None:
        """Finish what was given to the writer and close every connection."""
        await self._queue.put(None)
        if self._task is not None:
            await self._task
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        await asyncio.gather(*self._catching_up)
        if self._channel is not None:
            await self._channel.close()
        await self._connection.close()
        await self._pool.close()
