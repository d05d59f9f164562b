"""The bundle of services that handlers call. Nothing below `http` may hold it."""

import asyncio

from chamberlain.accounts.wiring import Accounts
from chamberlain.admin.wiring import Admin
from chamberlain.config import Config
from chamberlain.devices.wiring import Devices
from chamberlain.federation.wiring import Federation
from chamberlain.http.limit import Limits
from chamberlain.media.wiring import Media
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database
from chamberlain.sync.wiring import Sync


class Services:
    """What a handler may call, by room."""

    __slots__ = (
        "accounts",
        "admin",
        "clock",
        "config",
        "db",
        "devices",
        "federation",
        "limits",
        "media",
        "rooms",
        "shutdown",
        "sync",
    )

    def __init__(
        self,
        *,
        config: Config,
        clock: Clock,
        db: Database,
        limits: Limits,
        accounts: Accounts,
        devices: Devices,
        media: Media,
        rooms: Rooms,
        sync: Sync,
        federation: Federation,
        admin: Admin,
    ) -> None:
        self.config = config
        self.clock = clock
        self.db = db
        self.limits = limits
        self.accounts = accounts
        self.devices = devices
        self.media = media
        self.rooms = rooms
        self.sync = sync
        self.federation = federation
        self.admin = admin
        self.shutdown = asyncio.Event()
