"""How workers on one PostgreSQL tell each other that there is news: LISTEN and NOTIFY, outside of transactions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from chamberlain.runtime.bus import NotSent
from chamberlain.runtime.log import get_logger

NAME: Final = "chamberlain"
NEWS: Final = "chamberlain_news"
LOST: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a lost connection raises."""

_log = get_logger("database")


class Channel:
    """Carries positions. One that is lost does no harm: workers also look for themselves now and then.

    It is also a `Carrier` of news that are in no database: PostgreSQL gives all notifications to all who listen, the
    sender among them, in the order in which they were committed.
    """

    max_bytes: int = 7_900
    """PostgreSQL takes less than 8,000."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], heard: Callable[[int], None]) -> None:
        self._connect = connect
        self._heard = heard
        self._connection: Any = None
        # A connection does one thing at a time.
        self._using = asyncio.Lock()
        self._receive: Callable[[str], None] | None = None
        self._reopened: Callable[[], None] | None = None

    def subscribe(self, receive: Callable[[str], None], reopened: Callable[[], None]) -> None:
        """Call `receive` with the news of all workers."""
        self._receive, self._reopened = receive, reopened

    async def open(self) -> None:
        """Listen; also again, where the connection was lost."""
        if self._is_open:
            return
        async with self._using:
            await self._open()

    @property
    def _is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    async def _open(self) -> None:
        if self._is_open:
            return
        is_again = self._connection is not None
        self._connection = await self._connect()
        await self._connection.add_listener(NAME, self._notified)
        await self._connection.add_listener(NEWS, self._told)
        if is_again and self._reopened is not None:
            self._reopened()

    async def tell(self, position: int) -> None:
        """Let the other workers know that changes are committed up to this position."""
        try:
            await self._notify(NAME, str(position))
        except LOST as error:
            _log.warning("could not tell the other workers", error=repr(error))

    async def send(self, text: str) -> None:
        """Send news to all workers; raises NotSent."""
        try:
            await self._notify(NEWS, text)
        except LOST as error:
            raise NotSent(repr(error)) from error

    async def _notify(self, name: str, text: str) -> None:
        async with self._using:
            await self._open()
            await self._connection.execute("SELECT pg_notify($1, $2)", name, text)

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        self._heard(int(payload))

    def _told(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if self._receive is not None:
            self._receive(payload)

    async def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            await self._connection.close()
