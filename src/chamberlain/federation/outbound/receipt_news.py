"""How far our users have read, told to the other servers in the room. Private receipts never leave this server."""

from collections.abc import Sequence

from chamberlain.federation.outbound.audience import server_in
from chamberlain.federation.outbound.ephemera import Ephemera
from chamberlain.federation.outbound.gathering import Gathering
from chamberlain.federation.outbound.service import Outbound
from chamberlain.runtime.clock import Clock
from chamberlain.store import kinds, receipts
from chamberlain.store.database import Database
from chamberlain.store.receipts import Receipt
from chamberlain.store.tx import Change


class ReceiptNews:
    """Follows the change stream."""

    def __init__(self, db: Database, clock: Clock, outbound: Outbound, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self._outbound = outbound
        self._server_name = server_name
        self._known: dict[str, list[Receipt]] = {}
        self._unknown: dict[str, list[int]] = {}
        """Positions of those that came through other workers, by room."""
        self._gathering = Gathering("tell how far was read", clock, self._tell)
        db.subscribe(self._changed)

    async def close(self) -> None:
        """Tell no more."""
        await self._gathering.close()

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind != kinds.RECEIPT or not self._outbound.reaches(change.entity):
                continue
            if server_in(change.ref) != self._server_name:
                continue
            if isinstance(change.payload, Receipt):
                self._known.setdefault(change.entity, []).append(change.payload)
            else:
                self._unknown.setdefault(change.entity, []).append(change.position)
            self._gathering.due()

    async def _tell(self) -> None:
        known, self._known = self._known, {}
        unknown, self._unknown = self._unknown, {}
        for room_id, positions in unknown.items():
            read = await self._db.read(receipts.in_rooms_since, [room_id], min(positions) - 1, max(positions))
            own = [receipt for receipt in read if server_in(receipt.user_id) == self._server_name]
            known.setdefault(room_id, []).extend(own)
        now = self._clock.now()
        for room_id, moved in known.items():

            def add(waiting: Ephemera, moved: Sequence[Receipt] = moved) -> None:
                for receipt in moved:
                    waiting.add_receipt(now, receipt)

            self._outbound.add_ephemera(await self._outbound.servers_in(room_id), add)
