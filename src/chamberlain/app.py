"""The composition root: from settings to a server. The only module that sees all settings and all rooms."""

from pathlib import Path

from chamberlain.accounts.identity_servers import IdentityServers
from chamberlain.accounts.wiring import build_accounts
from chamberlain.admin.audit import load_key
from chamberlain.admin.wiring import build_admin
from chamberlain.config import Config, ConfigError
from chamberlain.config.cluster import Cluster
from chamberlain.devices.wiring import build_devices
from chamberlain.federation import key_file
from chamberlain.federation.https import HttpsTransport
from chamberlain.federation.key_file import KeyFile, KeyFileError
from chamberlain.federation.policy_servers import AskedPolicyServers
from chamberlain.federation.remote_media import FetchedMedia
from chamberlain.federation.remote_servers import RemoteServers
from chamberlain.federation.transport import Transport
from chamberlain.federation.wiring import Remotes, build_federation
from chamberlain.http.asgi import Application
from chamberlain.http.endpoint import Limit
from chamberlain.http.figures import Figures
from chamberlain.http.limit import Limits
from chamberlain.http.registry import load
from chamberlain.http.services import Services
from chamberlain.media.wiring import build_media
from chamberlain.rooms.wiring import build_rooms
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.http_client import AddressRules, HttpClient
from chamberlain.runtime.rng import Rng
from chamberlain.store import identity, leases
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.retention import Retention
from chamberlain.sync.wiring import build_sync

DAY_MS = 24 * 3_600_000


class App:
    """A built server. `start` begins its background work, `close` ends everything."""

    def __init__(
        self,
        asgi: Application,
        services: Services,
        http: HttpClient,
        retention: Retention,
        bus: Bus,
        first_admin: tuple[str, str] | None,
    ) -> None:
        self.asgi = asgi
        self.services = services
        self._rooms = (
            services.accounts,
            services.devices,
            services.media,
            services.rooms,
            services.sync,
            services.federation,
            services.admin,
        )
        self._http = http
        self._remotes = services.federation.remotes
        self._retention = retention
        self._bus = bus
        self._figures = Figures(services)
        self.first_admin = first_admin
        """The name and one-time password of the first administrator, when this start made it."""

    async def start(self) -> None:
        """Begin the background work."""
        await self._bus.start()
        await self._remotes.start()
        for room in self._rooms:
            await room.start()
        self._retention.start()
        self._figures.start()

    async def close(self) -> None:
        """Answer long polls, end the background work and close the database. Nothing acknowledged is lost."""
        self.services.shutdown.set()
        self._figures.close()
        await self._retention.close()
        await self._bus.close()
        for room in reversed(self._rooms):
            await room.close()
        await self._remotes.close()
        await self._http.close()
        await self.services.db.close()


async def build(
    config: Config,
    *,
    clock: Clock | None = None,
    rng: Rng | None = None,
    transport: Transport | None = None,
    worker: int = 0,
) -> App:
    """Open the data and make every service. `transport` reaches the other homeservers; tests have their own.

    `worker`: which one this is of several on this machine. Whoever had that number before is dead.

    Raises ConfigError where the data belong to another server name.
    """
    clock = clock or Clock()
    rng = rng or Rng()
    db = await open_database(
        config.database_url,
        clock.now,
        synchronous=config.database.synchronous,
        pool_size=config.database.pool_size,
        shared=config.cluster.has_many_workers,
    )
    try:
        return await _build(config, clock, rng, db, transport, worker)
    except BaseException:
        await db.close()
        raise


async def _build(
    config: Config, clock: Clock, rng: Rng, db: Database, transport: Transport | None, worker: int
) -> App:
    await _claim(db, config.server_name, rng)
    holder = await _succeed(db, config.cluster, rng, worker)
    keys = _load_keys(config.signing_key_path, rng)
    outbound = config.outbound
    addresses = AddressRules(outbound.blocked_addresses, outbound.allowed_addresses)
    http = HttpClient(addresses, verify_certificates=outbound.verify_certificates)
    if transport is None:
        transport = HttpsTransport(clock, rng, addresses, config.federation.ca_files)
    remotes = Remotes(
        db,
        clock,
        rng,
        config.federation,
        transport,
        config.server_name,
        keys,
        config.data_dir,
        key_path=config.signing_key_path,
        is_shared=config.cluster.shared,
    )
    accounts = build_accounts(
        db,
        clock,
        rng,
        config.server_name,
        config.registration,
        config.passwords,
        http,
        remotes.profiles,
    )
    devices = build_devices(
        db,
        clock,
        rng,
        config.server_name,
        accounts.last_seen,
        remotes.key_servers,
        shared=config.cluster.has_many_workers,
        names_shown=config.federation.device_names,
    )
    media = build_media(
        db,
        clock,
        rng,
        config.media,
        config.media_path,
        config.server_name,
        FetchedMedia(remotes.client, http),
    )
    bus = Bus(clock, rng.id(8), db.carrier)
    rooms = build_rooms(
        db,
        clock,
        rng,
        bus,
        server_name=config.server_name,
        own_keys=remotes.own_keys,
        default_version=config.default_room_version,
        profiles=accounts.profiles,
        identity_servers=IdentityServers(http),
        rulesets=accounts.push_rules,
        key_ring=remotes.key_ring,
        remotes=RemoteServers(remotes.client, remotes.large_answers),
        elsewhere=remotes.rooms,
        handshakes=remotes.handshakes,
        policy_servers=AskedPolicyServers(remotes.client, clock),
        holder=holder,
    )
    sync = build_sync(
        db,
        clock,
        bus,
        accounts,
        devices,
        rooms,
        epoch=await db.read(identity.epoch),
        max_timeout_ms=config.sync.max_timeout_ms,
        presence=config.presence.enabled,
    )
    federation = build_federation(
        db,
        clock,
        rng,
        holder,
        remotes,
        accounts,
        devices,
        rooms,
        sync,
        shared=config.cluster.has_many_workers,
        enabled=config.federation.enabled,
    )
    admin = build_admin(
        db,
        clock,
        rng,
        holder,
        accounts=accounts,
        rooms=rooms,
        remotes=remotes,
        media=media,
        audit_key=load_key(config.data_dir / "audit.key", rng),
        shared_secret=config.registration.shared_secret,
        server_notices=config.server_notices,
        shared=config.cluster.has_many_workers,
    )
    services = Services(
        config=config,
        clock=clock,
        db=db,
        limits=Limits(config.rate_limits, clock),
        accounts=accounts,
        devices=devices,
        media=media,
        rooms=rooms,
        sync=sync,
        federation=federation,
        admin=admin,
    )
    sync.end_with(services.shutdown)
    accounts.uia.throttle = lambda user_id: services.limits.check(Limit.LOGIN, f"proof {user_id}")
    first_admin = await accounts.registration.ensure_first_admin(config.admin.first_admin)
    asgi = Application(
        services,
        load(),
        rng=rng,
        signatures=remotes.signed_requests,
        log_requests=config.log.level == "debug",
    )
    retention = Retention(db, clock, config.sync.keep_changes_days * DAY_MS)
    return App(asgi, services, http, retention, bus, first_admin)


async def _claim(db: Database, server_name: str, rng: Rng) -> None:
    owner = await db.write(identity.claim, server_name, rng.id(8))
    if owner != server_name:
        raise ConfigError(
            "server_name",
            f"the data belong to the server {owner!r}, and the settings say {server_name!r}. A server's name can"
            f" never change: set server_name to {owner!r}, or use another data folder and database.",
        )


async def _succeed(db: Database, cluster: Cluster, rng: Rng, worker: int) -> str:
    """The name in which this worker holds leases. Where it has a predecessor, what that one held is free at once."""
    if cluster.shared or (cluster.workers > 1 and not worker):
        return rng.id(12)
    holder = f"worker {worker or 1}"
    await db.write(leases.release_held_by, holder)
    return holder


def _load_keys(path: Path, rng: Rng) -> KeyFile:
    try:
        return key_file.load_or_make(path, rng)
    except KeyFileError as problem:
        raise ConfigError("signing_key", str(problem)) from problem
