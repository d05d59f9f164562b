"""The one way to the database: reads, writes in groups, and the news of what was committed.

`read` is for point look-ups and short ranges; `snapshot` for anything longer, each answer from one state of
the database; `write` for a transaction of its own; `write_batch` for the hot paths, where the store function
takes a list of items and writes them as one set.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from chamberlain.runtime.bus import Carrier
from chamberlain.runtime.log import get_logger
from chamberlain.store.group import Unit
from chamberlain.store.tx import Change, Read, Write

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Subscriber = Callable[[Sequence[Change]], None]

log = get_logger("store")


class Database(ABC):
    """A database that has been opened and migrated."""

    dialect: Literal["sqlite", "postgres"]
    carrier: Carrier | None = None
    """How the workers that share the database tell one another what is in none; None where there is one worker."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self.position = 0

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber` called in the event loop with each run of committed changes, in order.

        It is called before the writer's `await` returns, must not block and must not raise.
        """
        self._subscribers.append(subscriber)

    @abstractmethod
    async def read(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a short read; each statement sees what is committed when it runs."""

    @abstractmethod
    async def snapshot(
        self, fn: Callable[Concatenate[Read, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a read of any length, all of it from one state of the database, off the event loop."""

    async def write(
        self, fn: Callable[Concatenate[Write, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a transaction; when this returns it is committed, and its changes have been told."""
        call: Callable[..., Awaitable[Any]] = fn
        if kwargs:

            async def call(tx: Write, *inner: Any) -> T:
                return await fn(tx, *inner, **kwargs)

        result: T = await self._submit(call, args, batched=False)
        return result

    async def write_batch(self, fn: Callable[[Write, list[Item]], Awaitable[Sequence[T]]], item: Item) -> T:
        """Run `fn` with this and other waiting items; `fn` gives one result for each, in order.

        An exception of `fn` makes each item run alone.
        """
        result: T = await self._submit(fn, (item,), batched=True)
        return result

    async def _submit(
        self, fn: Callable[..., Awaitable[Any]], args: tuple[Any, ...], *, batched: bool
    ) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def deliver(unit: Unit) -> None:
            if future.done():
                return
            if unit.error is not None:
                future.set_exception(unit.error)
            else:
                future.set_result(unit.result)

        self._enqueue(Unit(fn, args, deliver, batched=batched))
        # A caller that goes away does not undo what is being committed: nobody looks at its future before the end.
        return await future

    @abstractmethod
    def _enqueue(self, unit: Unit) -> None:
        """Give a unit to the group writer."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many units wait for the group writer."""

    @abstractmethod
    async def catch_up(self) -> None:
        """Hear of all that other workers have committed before now. Costs a look where there are any."""

    async def has_heard_since(self, position: int) -> bool:
        """Hear of all that other workers have committed before now; say whether anything is newer than `position`."""
        await self.catch_up()
        return self.position > position

    def _told(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self.position = changes[-1].position
        for subscriber in self._subscribers:
            try:
                subscriber(changes)
            except Exception:
                log.exception("a subscriber of the change stream failed", subscriber=repr(subscriber))

    @abstractmethod
    async def close(self) -> None:
        """Finish what was given to the writer and close every connection."""


async def position_of(tx: Read) -> int:
    """Give the position of the newest committed change."""
    position: int = await tx.value("SELECT value FROM sequences WHERE name = 'position'")
    return position
