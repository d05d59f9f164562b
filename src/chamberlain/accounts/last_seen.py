"""From where accounts are used: collected in memory, written in batches (client-server API, Server Administration)."""

from typing import Final

from chamberlain.accounts.requester import Requester
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import connections as rows
from chamberlain.store.connections import Connection
from chamberlain.store.database import Database

FLUSH_SECONDS: Final = 30.0
KEPT_MS: Final = 28 * 24 * 3_600_000
BATCH: Final = 500
MAX_FRESH: Final = 20_000
"""How many connections wait in memory at most; more of them are not recorded until the next flush."""
MAX_FRESH_OF_USER: Final = 100
"""How many of these may be one user's: a client that changes its name with each request takes nobody's place."""
MAX_OF_USER: Final = 500
"""How many connections of a user are kept and shown, the latest."""
_PRUNE_EVERY: Final = 120
"""Flushes between two looks for what is too old: an hour."""
_MAX_AGENT: Final = 256

Key = tuple[str, str, str]
"""Device (or nothing), address, client."""
Seen = dict[str, dict[Key, int]]

_log = get_logger("accounts")


class LastSeen:
    """Remembers when each device was used last, at which address, with which client."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._tasks = Tasks()
        self._fresh: Seen = {}
        self._count = 0
        self._flushing: Seen = {}

    def start(self) -> None:
        """Begin to write what was seen every half a minute."""
        self._tasks.spawn("write last-seen times", self._flush_forever())

    async def close(self) -> None:
        """Write what has not been written."""
        await self._tasks.close()
        await self.flush()

    def record(self, requester: Requester, ip: str, user_agent: str) -> None:
        """The requester was here just now."""
        of_user = self._fresh.get(requester.user_id)
        if of_user is None:
            of_user = self._fresh[requester.user_id] = {}
        key = (requester.device_id or "", ip, user_agent[:_MAX_AGENT])
        if key not in of_user:
            if len(of_user) >= MAX_FRESH_OF_USER:
                del of_user[min(of_user, key=of_user.__getitem__)]
            elif self._count >= MAX_FRESH:
                return
            else:
                self._count += 1
        of_user[key] = self._clock.now()

    async def connections_of(self, user_id: str) -> list[Connection]:
        """The latest connections of the last 28 days, those not yet written too, the latest first."""
        return self._with_fresh(user_id, await self._db.read(rows.list_of, user_id, MAX_OF_USER))

    async def devices_and_connections_of(self, user_id: str) -> tuple[list[str], list[Connection]]:
        """The ids of the user's devices, and what `connections_of` gives."""
        devices, written = await self._db.read(rows.list_with_devices, user_id, MAX_OF_USER)
        return devices, self._with_fresh(user_id, written)

    def _with_fresh(self, user_id: str, written: list[Connection]) -> list[Connection]:
        found: dict[Key, int] = {}
        for row in written:
            found[row.device_id, row.ip, row.user_agent] = row.last_seen
        for seen in (self._flushing, self._fresh):
            found.update(seen.get(user_id, {}))
        connections = [Connection(user_id, *key, at) for key, at in found.items()]
        return sorted(connections, key=lambda connection: -connection.last_seen)[:MAX_OF_USER]

    async def forget(self, user_id: str) -> None:
        """Nothing is known any more of where this user has been."""
        self._count -= len(self._fresh.pop(user_id, {}))
        await self._db.write(rows.delete_all, user_id)

    async def flush(self) -> None:
        """Write what was seen so far."""
        self._flushing, self._fresh, self._count = self._fresh, {}, 0
        waiting = sorted(
            Connection(user_id, *key, at)
            for user_id, of_user in self._flushing.items()
            for key, at in of_user.items()
        )
        for start in range(0, len(waiting), BATCH):
            await self._db.write(rows.record, waiting[start : start + BATCH])
        self._flushing = {}

    async def _flush_forever(self) -> None:
        flushes = 0
        while True:
            await self._clock.sleep(FLUSH_SECONDS)
            flushes += 1
            try:
                await self.flush()
                if flushes % _PRUNE_EVERY == 0:
                    await self._db.write(rows.forget_before, self._clock.now() - KEPT_MS)
                    await self._db.write(rows.forget_beyond, MAX_OF_USER)
            except Exception:
                _log.exception("last-seen times could not be written")
