"""Which servers have failed lately, and are left alone for a while: longer with each failure, up to a day.

Memory answers, for each request. The database is written to only when something changes for a server: it fails (once
for each wait), it is back. The change stream tells the other workers. A server that nobody here is in a room with
(a key, a profile or an alias was asked for) is never written down: strangers could name any number of these.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import destinations as rows
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.destinations import Destination
from chamberlain.store.tx import Change

FIRST_WAIT_MS: Final = 10_000
LONGEST_WAIT_MS: Final = 24 * 3_600_000
HEARD_PAUSE_MS: Final = 10_000
"""A failing server that is heard of is tried again, but not more often than this: it may be able to call and not to
be called."""
DAY_MS: Final = 24 * 3_600_000
STRANGERS_KEPT: Final = 10_000
MAX_ERROR: Final = 500

_log = get_logger("federation")


class Destinations:
    """Remembers failures. `start` loads those of before."""

    def __init__(self, db: Database, clock: Clock, rng: Rng) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._failing: dict[str, Destination] = {}
        self._strangers: Cache[str, Destination] = Cache(STRANGERS_KEPT, "failing strangers")
        self._noted: Cache[str, int] = Cache(STRANGERS_KEPT, "answers noted")
        self._heard: Cache[str, int] = Cache(STRANGERS_KEPT)
        self._recovered: list[Callable[[str], None]] = []
        self._tasks = Tasks()
        db.subscribe(self._on_changes)

    async def start(self) -> None:
        """Load the servers that fail."""
        for failing in await self._db.read(rows.list_failing):
            self._failing.setdefault(failing.destination, failing)

    async def close(self) -> None:
        """Return when all is written."""
        await self._tasks.settle()
        await self._tasks.close()

    def subscribe_recovered(self, tell: Callable[[str], None]) -> None:
        """Have `tell(destination)` called when a server that failed is back; it must not block."""
        self._recovered.append(tell)

    async def may_ask(self, destination: str) -> bool:
        """Whether the server does not fail, or its wait is over."""
        return self.retry_at(destination) is None

    def retry_at(self, destination: str) -> int | None:
        """When a failing server may be asked again (ms); None: now."""
        failing = self._find(destination)
        return None if failing is None or failing.retry_at <= self._clock.now() else failing.retry_at

    def answered(self, destination: str, *, is_known: bool) -> None:
        """The server gave an answer: it is there. `is_known`: it is no stranger."""
        self._recover(destination)
        now = self._clock.now()
        if is_known and now - self._noted.get(destination, -DAY_MS) >= DAY_MS:
            self._noted.set(destination, now)
            self._write(rows.note_answer, destination, now)

    def heard_of(self, server: str) -> None:
        """The server has made a good request: it may be there again."""
        if self._find(server) is None:
            return
        now = self._clock.now()
        if now - self._heard.get(server, -HEARD_PAUSE_MS) >= HEARD_PAUSE_MS:
            self._heard.set(server, now)
            self._recover(server)

    def failed(self, destination: str, why: str, *, is_known: bool) -> None:
        """The server could not be reached, or has broken down; what fails during a wait does not make it longer."""
        now = self._clock.now()
        before = self._find(destination)
        if before is not None and now < before.retry_at:
            return
        wait = self._next_wait(0 if before is None else before.retry_interval)
        since = now if before is None else before.failing_since
        failing = Destination(destination, since, now + wait, wait, None, why[:MAX_ERROR])
        if is_known or destination in self._failing:
            self._strangers.pop(destination)
            self._failing[destination] = failing
            self._write(rows.put_failing, failing)
        else:
            self._strangers.set(destination, failing)

    async def reset(self, destination: str) -> bool:
        """Forget that the server fails, so that it is asked at once; whether it did."""
        if self._find(destination) is None:
            return False
        self._strangers.pop(destination)
        self._failing.pop(destination, None)
        await self._db.write(rows.put_back, destination)
        return True

    def _find(self, destination: str) -> Destination | None:
        return self._failing.get(destination) or self._strangers.get(destination)

    def _next_wait(self, before: int) -> int:
        wait = min(max(2 * before, FIRST_WAIT_MS), LONGEST_WAIT_MS)
        # Servers that failed together should not be tried together.
        return wait * (900 + self._rng.below(201)) // 1000

    def _recover(self, destination: str) -> None:
        if self._strangers.pop(destination) is not None:
            self._tell(destination)
        if self._failing.pop(destination, None) is not None:
            self._write(rows.put_back, destination)

    def _write(self, fn: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._tasks.spawn("destinations", self._db.write(fn, *args))

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind != kinds.DESTINATION:
                continue
            # What this process wrote, it knew before, and may have been overtaken since.
            is_own = change.payload is not None
            if change.ref == rows.BACK:
                if not is_own:
                    self._failing.pop(change.entity, None)
                self._tell(change.entity)
            elif not is_own:
                self._tasks.spawn("destination", self._reload(change.entity))

    async def _reload(self, destination: str) -> None:
        found = await self._db.read(rows.find, destination)
        if found is not None and found.failing_since is not None:
            self._failing[destination] = found

    def _tell(self, destination: str) -> None:
        for tell in self._recovered:
            try:
                tell(destination)
            except Exception:
                _log.exception("a subscriber of recovered servers failed", destination=destination)
