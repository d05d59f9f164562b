"""Where the database is picked: `sqlite:///path` or `postgresql://…`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from chamberlain.store.database import Database
from chamberlain.store.migrate import migrate


async def open_database(
    url: str,
    now: Callable[[], int],
    *,
    synchronous: Literal["full", "normal", "off"] = "full",
    pool_size: int = 8,
    shared: bool = False,
) -> Database:
    """Open a database and bring its schema up to date.

    `now` gives ms since the epoch. `shared` says that other workers write to it too (PostgreSQL only). The
    driver is imported here, so that a server without PostgreSQL does not pay for it.
    """
    if url.startswith("sqlite:///"):
        return await _open_sqlite(Path(url.removeprefix("sqlite:///")), now, synchronous)
    if url.startswith(("postgresql://", "postgres://")):
        return await _open_postgres(url, now, pool_size, shared=shared)
    raise ValueError(f"not a database URL: {url.split(':', 1)[0]}:…")


async def _open_sqlite(
    path: Path, now: Callable[[], int], synchronous: Literal["full", "normal", "off"]
) -> Database:
    from chamberlain.store.sqlite import SqliteDatabase, SqliteTx, connect, drive

    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path, synchronous)
    drive(migrate(SqliteTx(connection), "sqlite"))
    connection.close()
    return SqliteDatabase(path, now, synchronous=synchronous)


async def _open_postgres(url: str, now: Callable[[], int], pool_size: int, *, shared: bool) -> Database:
    import asyncpg

    from chamberlain.store.postgres import PostgresDatabase, PostgresTx

    connection = await asyncpg.connect(url)
    await migrate(PostgresTx(connection), "postgres")
    await connection.close()
    return await PostgresDatabase.open(url, now, pool_size=pool_size, shared=shared)
