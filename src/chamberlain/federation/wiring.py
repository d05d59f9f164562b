"""The services of federation, made and bundled."""

from pathlib import Path

from chamberlain.accounts.wiring import Accounts
from chamberlain.config.federation import Federation as Settings
from chamberlain.devices.wiring import Devices
from chamberlain.federation.availability import Destinations
from chamberlain.federation.client import FederationClient
from chamberlain.federation.device_updates import DeviceUpdates
from chamberlain.federation.gate import FederationGate
from chamberlain.federation.handshakes import Handshakes
from chamberlain.federation.inbound.memberships import Memberships
from chamberlain.federation.inbound.wiring import Inbound
from chamberlain.federation.key_file import KeyFile
from chamberlain.federation.key_ring import KeyRing
from chamberlain.federation.key_rotation import KeyRotation
from chamberlain.federation.key_servers import KeyServers
from chamberlain.federation.large_answers import LargeAnswers
from chamberlain.federation.notary import Notary
from chamberlain.federation.outbound.delivery import Way
from chamberlain.federation.outbound.presence_news import PresenceNews
from chamberlain.federation.outbound.receipt_news import ReceiptNews
from chamberlain.federation.outbound.service import Outbound
from chamberlain.federation.outbound.typing_news import TypingNews
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.federation.remote_profiles import RemoteProfiles
from chamberlain.federation.remote_rooms import RemoteRooms
from chamberlain.federation.request_signing import SignedRequests
from chamberlain.federation.room_reading import RoomReading
from chamberlain.federation.transport import Transport
from chamberlain.matrix.signing import SigningKey
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database
from chamberlain.sync.wiring import Sync


class Remotes:
    """How other servers are reached and known: what the rooms below need, made before them."""

    __slots__ = (
        "_tasks",
        "availability",
        "client",
        "gate",
        "handshakes",
        "key_ring",
        "key_rotation",
        "key_servers",
        "large_answers",
        "notary",
        "own_keys",
        "profiles",
        "rooms",
        "server_name",
        "signed_requests",
        "transport",
    )

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        settings: Settings,
        transport: Transport,
        server_name: str,
        keys: KeyFile,
        data_dir: Path,
        *,
        key_path: Path,
        is_shared: bool,
    ) -> None:
        """`keys`: what is in the file at `key_path`; `is_shared`: other machines have such a file too."""
        self._tasks = Tasks()
        self.server_name = server_name
        self.own_keys = OwnKeys(clock, server_name, keys)
        self.transport = transport
        self.gate = FederationGate(db, clock, settings)
        self.availability = Destinations(db, clock, rng)
        self.client = FederationClient(transport, self.gate, self.availability, server_name, self.own_keys)
        self.key_ring = KeyRing(
            db,
            clock,
            self.client,
            self.availability,
            server_name=server_name,
            own=self.own_keys.published,
            notaries=settings.trusted_key_servers,
        )
        self.key_rotation = KeyRotation(db, clock, rng, key_path, self.own_keys, is_shared=is_shared)
        self.notary = Notary(clock, server_name, self.own_keys, self.key_ring)
        self.large_answers = LargeAnswers(self.client, data_dir)
        self.handshakes = Handshakes(self.client, self.large_answers)
        self.profiles = RemoteProfiles(clock, self._tasks, self.client)
        self.rooms = RemoteRooms(clock, self._tasks, self.client)
        self.key_servers = KeyServers(self.client)
        self.signed_requests = SignedRequests(
            self.key_ring, self.gate, server_name, self.availability.heard_of
        )

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs now."""
        return self.own_keys.signing_key

    async def start(self) -> None:
        """Begin the background work."""
        await self.gate.start()
        await self.availability.start()

    async def close(self) -> None:
        """End the background work and close the connections."""
        await self._tasks.close()
        await self.key_rotation.close()
        await self.key_ring.close()
        await self.availability.close()
        await self.gate.close()
        await self.transport.close()


class Federation:
    """What is exchanged with other servers: made after the rooms that it is about."""

    __slots__ = (
        "_news",
        "device_updates",
        "inbound",
        "memberships",
        "outbound",
        "remotes",
        "room_reading",
    )

    def __init__(
        self,
        remotes: Remotes,
        *,
        inbound: Inbound,
        memberships: Memberships,
        device_updates: DeviceUpdates,
        room_reading: RoomReading,
        outbound: Outbound,
        news: tuple[TypingNews, ReceiptNews, PresenceNews],
    ) -> None:
        self.remotes = remotes
        self.inbound = inbound
        self.memberships = memberships
        self.device_updates = device_updates
        self.room_reading = room_reading
        self.outbound = outbound
        self._news = news

    async def start(self) -> None:
        """Begin the background work."""
        await self.inbound.start()
        self.device_updates.start()
        await self.outbound.start()
        self._news[2].start()

    async def close(self) -> None:
        """End the background work."""
        for news in self._news:
            await news.close()
        await self.device_updates.close()
        await self.outbound.close()
        await self.inbound.close()


def build_federation(
    db: Database,
    clock: Clock,
    rng: Rng,
    holder: str,
    remotes: Remotes,
    accounts: Accounts,
    devices: Devices,
    rooms: Rooms,
    sync: Sync,
    *,
    shared: bool,
    enabled: bool,
) -> Federation:
    """Make the services. `shared`: other workers use the same database; not `enabled`: nothing is sent."""
    name = remotes.server_name
    way = Way(db, clock, rng, remotes.client, remotes.gate, remotes.availability, name)
    outbound = Outbound(way, rooms.heads, holder, enabled=enabled, shared=shared)
    return Federation(
        remotes,
        inbound=Inbound(db, clock, holder, devices, rooms, sync, shared=shared),
        memberships=Memberships(db, accounts.users, rooms, remotes.handshakes, remotes.own_keys),
        device_updates=DeviceUpdates(db, clock, devices.for_servers, outbound.servers_in, name),
        room_reading=RoomReading(db, clock, rooms.heads, name),
        outbound=outbound,
        news=(
            TypingNews(clock, rooms.typing, outbound, name),
            ReceiptNews(db, clock, outbound, name),
            PresenceNews(db, clock, sync.presence, sync.waiting, outbound, name),
        ),
    )
