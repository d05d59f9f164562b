"""Connections for reads: a stack of them, since taking one must cost next to nothing."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any


class Pool:
    """At most `size` connections, opened as they are needed and kept; one that was lost is replaced."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self.connect = connect
        self._size = size
        self._open = 0
        self._idle: list[Any] = []
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Any:
        """Give a connection that nobody else uses, as soon as there is one."""
        while True:
            if self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._open -= 1
            elif self._open < self._size:
                return await self._add()
            else:
                await self._wait()

    async def _add(self) -> Any:
        self._open += 1
        try:
            return await self.connect()
        except BaseException:
            self._open -= 1
            self._wake()
            raise

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()
            raise

    def give_back(self, connection: Any) -> None:
        """Let others use the connection."""
        if connection.is_closed():
            self._open -= 1
        else:
            self._idle.append(connection)
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            await self._idle.pop().close()
