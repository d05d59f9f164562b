"""The services for what other servers send, made and bundled."""

from chamberlain.devices.wiring import Devices
from chamberlain.federation.inbound.arrivals import Arrivals
from chamberlain.federation.inbound.device_lists import IncomingDeviceLists
from chamberlain.federation.inbound.edus import Edus
from chamberlain.federation.inbound.participants import Participants
from chamberlain.federation.inbound.presence import IncomingPresence
from chamberlain.federation.inbound.receipts import IncomingReceipts
from chamberlain.federation.inbound.room_queues import RoomQueues
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

    __slots__ = ("_receipts", "_tasks", "room_queues", "transactions")

    def __init__(
        self,
        db: Database,
        clock: Clock,
        holder: str,
        devices: Devices,
        rooms: Rooms,
        sync: Sync,
        *,
        shared: bool,
    ) -> None:
        """`shared`: other workers use the same database."""
        participants = Participants(db, rooms.heads)
        self._receipts = IncomingReceipts(db, clock, participants)
        device_lists = IncomingDeviceLists(devices.remote_lists)
        edus = Edus(
            {
                "m.typing": IncomingTyping(rooms.typing, participants).handle,
                "m.presence": IncomingPresence(db, clock, sync.presence).handle,
                "m.receipt": self._receipts.handle,
                "m.direct_to_device": IncomingToDevice(devices.to_device).handle,
                "m.device_list_update": device_lists.update,
                "m.signing_key_update": device_lists.set_signing_keys,
            }
        )
        self.transactions = Transactions(db, clock, rooms.heads, edus)
        arrivals = Arrivals(rooms.heads, rooms.accept, rooms.outside)
        self.room_queues = RoomQueues(db, clock, arrivals, holder, shared=shared)
        self._tasks = Tasks()

    async def start(self) -> None:
        """Begin the background work."""
        self._tasks.spawn("forget old transactions", self.transactions.prune_forever())
        await self.room_queues.start()

    async def close(self) -> None:
        """End the background work."""
        await self.room_queues.close()
        await self._receipts.close()
        await self._tasks.close()
