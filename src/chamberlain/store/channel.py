"""How workers on one PostgreSQL tell each other that there is news: LISTEN and NOTIFY, outside of transactions."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from chamberlain.runtime.log import get_logger

NAME: Final = "chamberlain"
LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a lost connection raises."""

_log = get_logger("database")


class Channel:
    """Carries positions. One that is lost does no harm: workers also look for themselves now and then."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], heard: Callable[[int], None]) -> None:
        self._connect = connect
        self._heard = heard
        self._connection: Any = None

    async def open(self) -> None:
        """Listen; also again, where the connection was lost."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            await self._connection.add_listener(NAME, self._notified)

    async def tell(self, position: int) -> None:
        """Let the other workers know that changes are committed up to this position."""
        try:
            await self.open()
            await self._connection.execute("SELECT pg_notify($1, $2)", NAME, str(position))
        except LOST as error:
            _log.warning("could not tell the other workers", error=repr(error))

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard(int(payload))

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            await self._connection.close()
