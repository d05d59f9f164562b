"""How many keys of a device are left, as `/sync` tells it (client-server API, Extensions to /sync)."""

import msgspec

from chamberlain.runtime.cache import Cache
from chamberlain.store import one_time_keys
from chamberlain.store.database import Database
from chamberlain.store.tx import Change, Read

DEVICES_KEPT = 20_000


class KeyCounts(msgspec.Struct, frozen=True):
    """The number of one-time keys by algorithm, and the algorithms whose fallback key was not given out."""

    one_time: dict[str, int]
    unused_fallback: list[str]


class KeyCounter:
    """Counts keys, and remembers the counts until the change stream says that they changed."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._counts: Cache[tuple[str, str], KeyCounts] = Cache(DEVICES_KEPT, "key counts")

    async def count(self, user_id: str, device_id: str) -> KeyCounts:
        """The counts of a device; none of anything where there is no such device."""
        return await self._counts.fetch((user_id, device_id), self._read)

    async def _read(self, device: tuple[str, str]) -> KeyCounts:
        return await self._db.read(_count, *device)

    def drop(self, change: Change) -> None:
        """Forget the counts of a device that changed."""
        self._counts.pop((change.entity, change.ref or ""))


async def _count(tx: Read, user_id: str, device_id: str) -> KeyCounts:
    return KeyCounts(
        await one_time_keys.counts(tx, user_id, device_id),
        await one_time_keys.unused_fallback_types(tx, user_id, device_id),
    )
