"""Background tasks with a name, an owner and an end: failures are logged, nothing outlives the server."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from chamberlain.runtime.log import get_logger

T = TypeVar("T")

_log = get_logger("tasks")


class Tasks:
    """The background tasks of one service. `close` cancels what still runs and waits for it."""

    __slots__ = ("_closed", "_running")

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, name: str, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `coro` in the background; an exception that it raises is logged under `name`.

        Raises RuntimeError after `close`, so that a late task cannot be forgotten.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"cannot start {name}: the tasks are closed")
        task = asyncio.create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            _log.error("task failed", task=task.get_name(), exc_info=failure)

    async def settle(self) -> None:
        """Return when no task is left running, those started meanwhile included."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def close(self) -> None:
        """Cancel every task and return when all have ended. A second call does nothing."""
        self._closed = True
        while self._running:
            waiting = {task for task in self._running if task is not asyncio.current_task()}
            if not waiting:
                return
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
