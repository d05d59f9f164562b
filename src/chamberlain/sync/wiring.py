"""The services of sync, made and bundled."""

import asyncio

from chamberlain.accounts.wiring import Accounts
from chamberlain.devices.wiring import Devices
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database
from chamberlain.sync.activity import Activity
from chamberlain.sync.answers import Answers
from chamberlain.sync.event_stream import EventStream
from chamberlain.sync.filters import SyncFilters
from chamberlain.sync.peeking import Peeking
from chamberlain.sync.presence import Presences
from chamberlain.sync.service import Syncing
from chamberlain.sync.wait import Waiting


class Sync:
    """How clients hear of news."""

    __slots__ = (
        "_activity",
        "_tasks",
        "event_stream",
        "filters",
        "peeking",
        "presence",
        "syncing",
        "waiting",
    )

    def __init__(
        self,
        waiting: Waiting,
        presence: Presences,
        syncing: Syncing,
        filters: SyncFilters,
        activity: Activity,
        event_stream: EventStream,
        peeking: Peeking,
    ) -> None:
        self._tasks = Tasks()
        self._activity = activity
        self.waiting = waiting
        self.presence = presence
        self.syncing = syncing
        self.filters = filters
        self.event_stream = event_stream
        self.peeking = peeking

    def end_with(self, shutdown: asyncio.Event) -> None:
        """Have every long poll answered once the server shuts down."""
        self._tasks.spawn("answer long polls at the end", self._end_with(shutdown))

    async def _end_with(self, shutdown: asyncio.Event) -> None:
        await shutdown.wait()
        self.waiting.release_all()
        self.peeking.release_all()

    async def start(self) -> None:
        """Begin the background work."""
        self.presence.start()

    async def close(self) -> None:
        """Answer who still waits, and end the background work."""
        await self.waiting.close()
        self.peeking.release_all()
        await self.presence.close()
        await self._tasks.close()


def build_sync(
    db: Database,
    clock: Clock,
    bus: Bus,
    accounts: Accounts,
    devices: Devices,
    rooms: Rooms,
    *,
    epoch: str,
    max_timeout_ms: int,
    presence: bool,
) -> Sync:
    """Make the services of sync. `epoch` is that of the database."""
    waiting = Waiting(db, clock, rooms.typing)
    presences = Presences(db, clock, waiting, bus, enabled=presence)
    answers = Answers(db, clock, waiting, rooms.typing, presences, devices.counter, epoch=epoch)
    syncing = Syncing(
        clock,
        waiting,
        answers,
        rooms.typing,
        presences,
        accounts.tokens,
        epoch=epoch,
        max_timeout_ms=max_timeout_ms,
    )
    return Sync(
        waiting,
        presences,
        syncing,
        SyncFilters(accounts.filters),
        Activity(db, presences),
        EventStream(db, syncing),
        Peeking(db, clock, rooms.heads, epoch=epoch, max_timeout_ms=max_timeout_ms),
    )
