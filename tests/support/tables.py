"""What is in the tables of a server in process, for tests that nothing was written."""

from typing import Any, cast

from chamberlain.store.tx import Read
from tests.support.server import Server


async def select(server: Server, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, by the server's own way to its database: no second library may touch its file."""

    async def rows(tx: Read) -> list[tuple[Any, ...]]:
        return await tx.all(cast("Any", sql), **values)

    return await server.app.services.db.read(rows)


async def table_counts(server: Server) -> dict[str, int]:
    """How many rows each table has (SQLite)."""
    names = await select(
        server, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    return {name: (await select(server, f'SELECT count(*) FROM "{name}"'))[0][0] for (name,) in names}
