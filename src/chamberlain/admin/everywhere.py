"""That a change on which security hangs holds on all workers before whoever made it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, workers
from chamberlain.store.database import Database
from chamberlain.store.tx import Change

PATIENCE_S: Final = 2.0
"""Seconds that another worker has. One that does not answer is not waited for again before it has said something."""

_log = get_logger("admin")


class _Question:
    __slots__ = ("done", "waiting")

    def __init__(self, waiting: set[str]) -> None:
        self.waiting = waiting
        self.done = asyncio.Event()

    def answered(self, name: str) -> None:
        self.waiting.discard(name)
        if not self.waiting:
            self.done.set()


class Everywhere:
    """Waits for the other workers, and answers them. With a single worker there is nothing to wait for."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        name: str,
        settled: Sequence[Callable[[], Awaitable[None]]],
        *,
        shared: bool,
    ) -> None:
        """`name`: this worker's; `settled`: return when what follows from changes that were heard of is done here."""
        self._db = db
        self._clock = clock
        self._rng = rng
        self._name = name
        self._settled = settled
        self._shared = shared
        self._tasks = Tasks()
        self._questions: dict[str, _Question] = {}
        if shared:
            db.subscribe(self._changed)

    async def start(self) -> None:
        """Have the others wait for this worker."""
        if self._shared:
            await self._db.write(workers.add, self._name)

    async def close(self) -> None:
        """Have nobody wait for it any more."""
        await self._tasks.close()
        if self._shared:
            await self._db.write(workers.remove, [self._name])

    async def wait(self) -> None:
        """Return when all that was committed here before holds on every worker that answers in time."""
        if not self._shared:
            return
        name = self._rng.id(12)
        question = _Question(await self._db.read(workers.list_all) - {self._name})
        self._questions[name] = question
        timer = self._clock.call_later(PATIENCE_S, question.done.set)
        try:
            # Also where nobody is known: one that was slow hears of it, and is waited for the next time.
            await self._db.write(workers.ask, name)
            if question.waiting:
                await question.done.wait()
        finally:
            timer.cancel()
            del self._questions[name]
        if question.waiting:
            _log.warning("workers did not answer in time", workers=sorted(question.waiting))
            await self._db.write(workers.remove, question.waiting)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.WORKERS_ASKED and change.entity not in self._questions:
                self._tasks.spawn("answer another worker", self._answer(change.entity))
            elif change.kind == kinds.WORKER_ANSWERED and change.entity in self._questions:
                self._questions[change.entity].answered(change.ref or "")

    async def _answer(self, question: str) -> None:
        for settled in self._settled:
            await settled()
        await self._db.write(workers.answer, question, self._name)
