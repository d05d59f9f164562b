"""One call for all who ask the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from chamberlain.runtime.tasks import Tasks

K = TypeVar("K")
V = TypeVar("V")


class Shared(Generic[K, V]):
    """Calls `ask(key)` once for those who wait for it; it runs to its end though all of them go away."""

    __slots__ = ("_ask", "_name", "_tasks", "_under_way")

    def __init__(self, name: str, ask: Callable[[K], Coroutine[Any, Any, V]]) -> None:
        """What `ask` raises is logged as a failure: what can be expected to happen is to be a value."""
        self._name = name
        self._ask = ask
        self._tasks = Tasks()
        self._under_way: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def __contains__(self, key: K) -> bool:
        return key in self._under_way

    def get(self, key: K) -> asyncio.Future[V]:
        """What `ask(key)` will give: it is started here, unless it is under way."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = self._tasks.spawn(self._name, self._ask(key))
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is under way."""
        await self._tasks.close()
