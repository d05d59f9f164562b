"""The embedded database: SQLite through apsw.

Writes run in one writer thread, many units to a commit. Short reads run directly in the event loop on a
connection of their own (a few microseconds); longer ones in a small pool of reader threads.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, Literal, LiteralString, ParamSpec, TypeVar, cast

import apsw

from chamberlain.store.compile import bind_sqlite, for_sqlite
from chamberlain.store.database import Database, position_of
from chamberlain.store.group import GROUP_SIZE, TAKE_POSITIONS, Statements, Unit, run_group
from chamberlain.store.tx import Change, Placement, Read, Row, Stale

P = ParamSpec("P")
T = TypeVar("T")

BUSY_MS = 10_000
READERS = 2
WRITER_CACHE_KIB = 8_192
READER_CACHE_KIB = 4_096


class SqliteTx:
    """Statements on one connection; every coroutine of it ends without waiting."""

    __slots__ = ("_connection", "is_alone", "placements")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.is_alone = False
        self.placements: list[Placement] = []

    def _execute(self, sql: str, params: dict[str, Any]) -> apsw.Cursor:
        compiled = for_sqlite(sql)
        return self._connection.execute(compiled.text, bind_sqlite(compiled, params))

    async def one(self, sql: LiteralString, /, **params: Any) -> Row | None:
        """Give the first row, or None."""
        return self._execute(sql, params).fetchone()

    async def all(self, sql: LiteralString, /, **params: Any) -> list[Row]:
        """Give every row."""
        return self._execute(sql, params).fetchall()

    async def value(self, sql: LiteralString, /, **params: Any) -> Any:
        """Give the first column of the first row, or None."""
        row = self._execute(sql, params).fetchone()
        return None if row is None else row[0]

    async def run(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement and give how many rows it touched."""
        self._execute(sql, params).fetchall()
        return self._connection.changes()

    async def many(self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run one statement for many rows."""
        compiled = for_sqlite(sql)
        if compiled.lists:
            rows = [bind_sqlite(compiled, dict(row)) for row in rows]
        self._connection.executemany(compiled.text, rows)

    async def defer(
        self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /, *, each: bool = False
    ) -> None:
        """Run one statement for many rows, now: here a statement costs no way to anywhere."""
        before = self._connection.total_changes()
        await self.many(sql, rows)
        if each and self._connection.total_changes() - before < len(rows):
            raise Stale

    async def finish(self, count: int, placed: Statements) -> int:
        """Take `count` positions and write the rows that carry them; give the position before."""
        if not count:
            return 0
        base: int = await self.value(TAKE_POSITIONS, n=count)
        for sql, rows in placed.items():
            for row in rows:
                row["position"] += base
            await self.many(sql, rows)
        return base

    async def script(self, sql: LiteralString, /) -> None:
        """Run a statement that gives nothing."""
        self._connection.execute(sql)

    def place(self, kind: str, entity: str, ref: str | None = None, payload: Any = None) -> Placement:
        """Take a place in the change stream."""
        placement = Placement(kind, entity, ref, payload)
        self.placements.append(placement)
        return placement


def drive(work: Awaitable[T]) -> T:
    """Run a coroutine to its end at once; one that waits for anything but its `tx` is refused."""
    coroutine = cast("Coroutine[Any, Any, T]", work)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    coroutine.close()
    raise RuntimeError("a store function may await nothing but its transaction")


def connect(path: Path, synchronous: str, *, read_only: bool = False) -> apsw.Connection:
    """Open a connection set up as every connection here is."""
    connection = apsw.Connection(str(path), statementcachesize=400)
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
    cache = READER_CACHE_KIB if read_only else WRITER_CACHE_KIB
    connection.execute(f"PRAGMA cache_size = -{cache}").fetchall()
    connection.execute("PRAGMA temp_store = MEMORY").fetchall()
    connection.execute("PRAGMA foreign_keys = ON").fetchall()
    if read_only:
        connection.execute("PRAGMA query_only = ON").fetchall()
    return connection


class SqliteDatabase(Database):
    """An embedded database file."""

    dialect: Literal["sqlite", "postgres"] = "sqlite"

    def __init__(
        self, path: Path, now: Callable[[], int], *, synchronous: Literal["full", "normal", "off"] = "full"
    ) -> None:
        super().__init__()
        self._path = path
        self._now = now
        self._synchronous = synchronous
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        self._near = SqliteTx(connect(path, synchronous, read_only=True))
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._writer = threading.Thread(target=self._write_forever, name="sqlite-writer", daemon=True)
        self.position = drive(position_of(self._near))
        self._writer.start()

    async def read(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a short read in the event loop itself."""
        return drive(fn(self._near, *args, **kwargs))

    async def snapshot(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read in a reader thread, all of it from one state of the database."""

        def work() -> T:
            tx = self._reader()
            tx._connection.execute("BEGIN")
            try:
                return drive(fn(tx, *args, **kwargs))
            finally:
                tx._connection.execute("COMMIT")

        return await self._loop.run_in_executor(self._readers, work)

    def _reader(self) -> SqliteTx:
        tx: SqliteTx | None = getattr(self._local, "tx", None)
        if tx is None:
            tx = self._local.tx = SqliteTx(connect(self._path, self._synchronous, read_only=True))
        return tx

    def _enqueue(self, unit: Unit) -> None:
        self._queue.put(unit)

    @property
    def waiting(self) -> int:
        """How many units wait for the group writer."""
        return self._queue.qsize()

    def _write_forever(self) -> None:
        tx = SqliteTx(connect(self._path, self._synchronous))
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                break
            units = [first]
            while len(units) < GROUP_SIZE:
                try:
                    unit = self._queue.get_nowait()
                except Empty:
                    break
                if unit is None:
                    stopping = True
                    break
                units.append(unit)
            self._write_group(tx, units)
        tx._connection.execute("PRAGMA optimize").fetchall()
        tx._connection.close()

    def _write_group(self, tx: SqliteTx, units: list[Unit]) -> None:
        changes: list[Change] = []
        try:
            changes = drive(run_group(tx, units, self._now))
        except BaseException as error:
            if len(units) > 1:
                for unit in units:
                    unit.error = unit.result = None
                    self._write_group(tx, [unit])
                return
            units[0].error = error
        self._loop.call_soon_threadsafe(self._deliver, units, changes)

    def _deliver(self, units: list[Unit], changes: list[Change]) -> None:
        self._told(changes)
        for unit in units:
            unit.deliver(unit)

    async def catch_up(self) -> None:
        """There are no other workers."""

    async def close(self) -> None:
        """Finish what was given to the writer and close every connection."""
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._writer.join)
        self._readers.shutdown()
        self._near._connection.close()
