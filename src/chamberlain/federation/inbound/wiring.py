"""The services for what other servers send, made and bundled."""

from chamberlain.devices.wiring import Devices
from chamberlain.federation.inbound.edus import Edus
from chamberlain.federation.inbound.participants import Participants
from chamberlain.federation.inbound.presence import IncomingPresence
from chamberlain.federation.inbound.receipts import IncomingReceipts
from chamberlain.federation.inbound.to_device import IncomingToDevice
from chamberlain.federation.inbound.transactions import Transactions
from chamberlain.federation.inbound.typing import IncomingTyping
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database
from chamberlain.sync.wiring import Sync


class Inbound:
    """What takes transactions, and what becomes of them."""

    __slots__ = ("_receipts", "_tasks", "transactions")

    def __init__(self, db: Database, clock: Clock, devices: Devices, rooms: Rooms, sync: Sync) -> None:
        participants = Participants(rooms.heads)
        self._receipts = IncomingReceipts(db, clock, participants)
        edus = Edus(
            {
                "m.typing": IncomingTyping(rooms.typing, participants).handle,
                "m.presence": IncomingPresence(db, clock, sync.presence).handle,
                "m.receipt": self._receipts.handle,
                "m.direct_to_device": IncomingToDevice(devices.to_device).handle,
            }
        )
        self.transactions = Transactions(db, clock, rooms.heads, edus)
        self._tasks = Tasks()

    async def start(self) -> None:
        """Begin the background work."""
        self._tasks.spawn("forget old transactions", self.transactions.prune_forever())

    async def close(self) -> None:
        """End the background work."""
        await self._receipts.close()
        await self._tasks.close()
