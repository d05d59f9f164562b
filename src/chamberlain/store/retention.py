"""Forgetting rows that nobody will ask for again: old changes, transaction ids, expired secrets.

Expired access tokens are not among them: whoever comes with one must hear that it is a soft logout.
"""

from collections.abc import Awaitable, Callable
from typing import Final, LiteralString

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import uia
from chamberlain.store.database import Database
from chamberlain.store.sync import FEW_CHANGES
from chamberlain.store.tx import Write

ROWS: Final = 1_000
"""So many rows of a table go in one transaction."""
ALWAYS_KEPT: Final = 5 * FEW_CHANGES
"""So many positions are kept however old their changes are: whoever looks through the newest ones rather than asking
by room must find them all."""
TXN_LIFETIME_MS: Final = 7 * 24 * 3_600_000
FIRST_S: Final = 300.0
EVERY_S: Final = 3_600.0
PAUSE_S: Final = 0.05
"""Between two transactions, so that others get their turn."""
_FIRST_UNREAD: Final[tuple[LiteralString, ...]] = (
    "SELECT MIN(position) FROM changes WHERE kind = 'profile'"
    " AND position > COALESCE((SELECT position FROM followers WHERE name = 'profile fan-out'), 0)",
    "SELECT MIN(position) FROM changes WHERE kind = 'event'"
    " AND position > COALESCE((SELECT position FROM followers WHERE name = 'search'), 0)",
    "SELECT MIN(position) FROM changes WHERE kind IN ('device_list', 'membership')"
    " AND position > COALESCE((SELECT position FROM followers WHERE name = 'device lists of other servers'), 0)",
    "SELECT MIN(position) FROM changes WHERE kind = 'event'"
    " AND position > (SELECT MIN(position) FROM followers WHERE name LIKE 'outbound:%')",
)
"""For each follower of the change stream: what it has to read next."""

_log = get_logger("retention")


async def forget_changes(tx: Write, before: int, always_kept: int = ALWAYS_KEPT) -> int:
    """Forget the oldest changes from before a time (ms) that every follower has read; give how many went."""
    newest: int = await tx.value("SELECT value FROM sequences WHERE name = 'position'")
    unread = [await tx.value(sql) for sql in _FIRST_UNREAD]
    last = await tx.value(
        "SELECT MAX(position) FROM (SELECT position, at FROM changes WHERE position < :upto"
        " ORDER BY position LIMIT :rows) oldest WHERE at < :before",
        upto=min([newest - always_kept, *(first for first in unread if first is not None)]),
        rows=ROWS,
        before=before,
    )
    if last is None:
        return 0
    return await tx.run("DELETE FROM changes WHERE position <= :last", last=last)


async def forget_event_txns(tx: Write, before: int) -> int:
    """Forget the oldest transaction ids of events from before a time (ms); give how many went."""
    last = await tx.value(
        "SELECT MAX(at) FROM (SELECT at FROM event_txns WHERE at < :before ORDER BY at LIMIT :rows) oldest",
        before=before,
        rows=ROWS,
    )
    if last is None:
        return 0
    return await tx.run("DELETE FROM event_txns WHERE at <= :last", last=last)


async def forget_expired(tx: Write, now: int) -> int:
    """Forget what expired before `now` (ms) and can be asked for once at most; always gives 0: nothing is left."""
    await uia.forget_expired(tx, now)
    for sql in (
        "DELETE FROM login_tokens WHERE expires_at <= :now",
        "DELETE FROM openid_tokens WHERE expires_at <= :now",
        "DELETE FROM registration_nonces WHERE expires_at <= :now",
    ):
        await tx.run(sql, now=now)
    return 0


class Retention:
    """Forgets in the background, a little at a time. Every worker may run it: what is gone is gone."""

    def __init__(self, db: Database, clock: Clock, keep_changes_ms: int) -> None:
        self._db = db
        self._clock = clock
        self._keep_changes_ms = keep_changes_ms
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin, some minutes from now: a start has other things to do."""
        self._tasks.spawn("retention", self._run_forever())

    async def close(self) -> None:
        """Stop."""
        await self._tasks.close()

    async def run(self) -> None:
        """All that is due now is forgotten when this returns."""
        now = self._clock.now()
        await self._repeat(forget_changes, now - self._keep_changes_ms)
        await self._repeat(forget_event_txns, now - TXN_LIFETIME_MS)
        await self._repeat(forget_expired, now)

    async def _repeat(self, forget: Callable[[Write, int], Awaitable[int]], before: int) -> None:
        while await self._db.write(forget, before) >= ROWS:
            await self._clock.sleep(PAUSE_S)

    async def _run_forever(self) -> None:
        await self._clock.sleep(FIRST_S)
        while True:
            try:
                await self.run()
            except Exception:
                _log.exception("forgetting old rows failed")
            await self._clock.sleep(EVERY_S)
