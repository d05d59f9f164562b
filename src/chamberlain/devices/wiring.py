"""The services of devices, made and bundled."""

from collections.abc import Callable, Sequence

from chamberlain.accounts.last_seen import LastSeen
from chamberlain.devices.backups import Backups
from chamberlain.devices.cross_signing import CrossSigning
from chamberlain.devices.device_list import DeviceList
from chamberlain.devices.key_cache import KeyCache
from chamberlain.devices.key_counts import KeyCounter
from chamberlain.devices.keys import Keys
from chamberlain.devices.signatures import SignatureUploads
from chamberlain.devices.to_device import ToDevice
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.tx import Change


class Devices:
    """The bundle."""

    __slots__ = (
        "_drops",
        "_tasks",
        "backups",
        "counter",
        "cross_signing",
        "device_list",
        "keys",
        "signatures",
        "to_device",
    )

    def __init__(
        self, db: Database, clock: Clock, server_name: str, last_seen: LastSeen, *, shared: bool
    ) -> None:
        cache = KeyCache(db, shared=shared)
        self.device_list = DeviceList(db, clock, last_seen)
        self.keys = Keys(db, cache, server_name)
        self.counter = KeyCounter(db)
        self.cross_signing = CrossSigning(db)
        self.signatures = SignatureUploads(db)
        self.backups = Backups(db)
        self.to_device = ToDevice(db, clock, server_name)
        self._tasks = Tasks()
        self._drops: dict[str, tuple[Callable[[Change], None], ...]] = {
            kinds.DEVICE_LIST: (cache.drop, self.counter.drop),
            kinds.USER_SIGNATURE: (cache.drop,),
            kinds.ONE_TIME_KEYS: (self.counter.drop,),
        }
        db.subscribe(self._heard)

    def _heard(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for drop in self._drops.get(change.kind, ()):
                drop(change)

    async def start(self) -> None:
        """Begin the background work."""
        self._tasks.spawn("forget old to-device transactions", self.to_device.prune_forever())

    async def close(self) -> None:
        """End the background work."""
        await self._tasks.close()


def build_devices(
    db: Database, clock: Clock, server_name: str, last_seen: LastSeen, *, shared: bool
) -> Devices:
    """Make the services. `shared`: other workers use the same database."""
    return Devices(db, clock, server_name, last_seen, shared=shared)
