"""The services of devices, made and bundled."""

from collections.abc import Callable, Sequence

from chamberlain.accounts.last_seen import LastSeen
from chamberlain.devices.backups import Backups
from chamberlain.devices.cross_signing import CrossSigning
from chamberlain.devices.device_list import DeviceList
from chamberlain.devices.for_servers import KeysForServers
from chamberlain.devices.key_cache import KeyCache
from chamberlain.devices.key_counts import KeyCounter
from chamberlain.devices.keys import Keys
from chamberlain.devices.ports import KeyServers
from chamberlain.devices.remote_keys import RemoteKeys
from chamberlain.devices.remote_lists import RemoteLists
from chamberlain.devices.signatures import SignatureUploads
from chamberlain.devices.to_device import ToDevice
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
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
        "for_servers",
        "keys",
        "remote_lists",
        "signatures",
        "to_device",
    )

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        server_name: str,
        last_seen: LastSeen,
        servers: KeyServers,
        *,
        shared: bool,
        names_shown: bool,
    ) -> None:
        cache = KeyCache(db, shared=shared)
        self.device_list = DeviceList(db, clock, last_seen)
        self.remote_lists = RemoteLists(db, clock, servers)
        self.keys = Keys(db, cache, server_name, RemoteKeys(db, servers, self.remote_lists))
        self.for_servers = KeysForServers(db, self.keys, server_name, names_shown=names_shown)
        self.counter = KeyCounter(db)
        self.cross_signing = CrossSigning(db)
        self.signatures = SignatureUploads(db)
        self.backups = Backups(db)
        self.to_device = ToDevice(db, clock, rng, server_name)
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
        await self.remote_lists.start()

    async def close(self) -> None:
        """End the background work."""
        await self.remote_lists.close()
        await self._tasks.close()


def build_devices(
    db: Database,
    clock: Clock,
    rng: Rng,
    server_name: str,
    last_seen: LastSeen,
    servers: KeyServers,
    *,
    shared: bool,
    names_shown: bool,
) -> Devices:
    """Make the services. `shared`: other workers use the same database; `names_shown`: to other servers."""
    return Devices(db, clock, rng, server_name, last_seen, servers, shared=shared, names_shown=names_shown)
