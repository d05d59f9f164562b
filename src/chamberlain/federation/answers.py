"""What other servers answered lately."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Answers(Generic[K, V]):
    """Keeps good answers for a while; a question that is under way is not asked a second time."""

    def __init__(self, clock: Clock, tasks: Tasks, *, size: int, seconds: float, name: str) -> None:
        self._clock = clock
        self._tasks = tasks
        self._seconds = seconds
        self._kept: Cache[K, tuple[float, V]] = Cache(size, name)
        self._asking: dict[K, asyncio.Task[V | RemoteError]] = {}

    async def get(self, question: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Give the answer that is kept, or what `ask` gives.

        Raises:
            RemoteError: `ask` did.
        """
        kept = self._kept.get(question)
        if kept is not None and kept[0] > self._clock.monotonic():
            return kept[1]
        asking = self._asking.get(question)
        if asking is None:
            asking = self._asking[question] = self._tasks.spawn(
                "ask another server", self._ask(question, ask)
            )
        answer = await asyncio.shield(asking)
        if isinstance(answer, RemoteError):
            raise answer
        return answer

    async def _ask(self, question: K, ask: Callable[[], Coroutine[Any, Any, V]]) -> V | RemoteError:
        try:
            answer = await ask()
        except RemoteError as error:
            return error
        finally:
            del self._asking[question]
        self._kept.set(question, (self._clock.monotonic() + self._seconds, answer))
        return answer
