"""Making the transactions for a destination: what is due, in order, bounded (server-server API, Transactions)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import orjson

from chamberlain.federation.outbound.ephemera import MAX_AGE_MS
from chamberlain.federation.outbound.lane import Lane
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import outbox, outbox_events, outbox_queue
from chamberlain.store.database import Database
from chamberlain.store.outbox_events import Due
from chamberlain.store.outbox_queue import Transaction

PDUS: Final = 50
EDUS: Final = 100
MAX_BYTES: Final = 4 * 1024 * 1024
"""Of events, or of EDUs, in one transaction; one of each goes in any case."""
CATCH_UP_MS: Final = 3_600_000
"""Who has missed more than this of what happened gets the newest event of each room, and asks for what it wants."""
PDUS_KEPT: Final = 2_000

Pdu = tuple[str, bytes]
"""(event id, bytes)."""


class Prepared(msgspec.Struct, frozen=True):
    """A transaction and the events in it. `edus_upto`: which of the waiting EDUs are in it."""

    txn: Transaction
    pdus: Sequence[Pdu]
    edus_upto: int = 0
    is_repeated: bool = False

    @property
    def must_be_stored(self) -> bool:
        """Whether there is anything in it that must not be lost."""
        return bool(self.txn.pdus or self.txn.edus)

    def body(self, origin: str) -> dict[str, Any]:
        """What is sent."""
        return {
            "origin": origin,
            "origin_server_ts": self.txn.at,
            "pdus": [orjson.Fragment(pdu) for _, pdu in self.pdus],
            "edus": [orjson.Fragment(edu) for edu in (*self.txn.edus, *self.txn.ephemeral)],
        }


class Composer:
    """Makes transactions of what waits in lanes."""

    def __init__(self, db: Database, clock: Clock, rng: Rng) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._pdus: Cache[int, Pdu] = Cache(PDUS_KEPT, "outgoing events")

    def keep(self, nid: int, event_id: str, pdu: bytes) -> None:
        """Remember an event that will be sent."""
        self._pdus.set(nid, (event_id, pdu))

    async def next(self, lane: Lane, flush: Callable[[], Awaitable[int]]) -> Prepared | None:
        """The transaction to send now, or None: nothing waits. One that was not answered is made once more.

        `flush`: has the database know for whom the events are that came so far, and gives the position of the last.
        """
        now = self._clock.now()
        if lane.kept is not None:
            txn, lane.kept = lane.kept, None
            if now - txn.at <= MAX_AGE_MS:
                return Prepared(txn, (), is_repeated=True)
        stored = await self._stored(lane)
        if stored is not None and not _is_stale(stored, now):
            pdus = await self._load(stored.pdus)
            return Prepared(stored, tuple(pdus.values()), is_repeated=True)
        prepared = await self._compose(lane, flush, now, () if stored is None else stored.edus)
        if lane.txn_is_stored and (prepared is None or not prepared.must_be_stored):
            lane.txn_is_stored = lane.settled = False
        return prepared

    async def _stored(self, lane: Lane) -> Transaction | None:
        if not lane.txn_is_stored:
            return None
        state = await self._db.read(outbox_queue.find, lane.name)
        return None if state is None else state.txn

    async def _compose(
        self, lane: Lane, flush: Callable[[], Awaitable[int]], now: int, carried: tuple[bytes, ...]
    ) -> Prepared | None:
        events, upto = await self._events(lane, flush, now)
        while not events and upto > lane.sent:
            # Those that waited are no more.
            lane.told(upto)
            events, upto = await self._events(lane, flush, now)
        edus, edus_upto = await self._edus(lane, carried)
        ephemeral = () if lane.ephemera is None else tuple(lane.ephemera.take(now, EDUS - len(edus)))
        if not events and not edus and not ephemeral:
            return None
        txn = Transaction(self._rng.id(20), now, upto, tuple(events), edus, ephemeral)
        return Prepared(txn, tuple(events.values()), edus_upto)

    async def _events(
        self, lane: Lane, flush: Callable[[], Awaitable[int]], now: int
    ) -> tuple[dict[int, Pdu], int]:
        """The first events that wait, by number, and the position up to which they are all."""
        while lane.upto is not None or lane.has_missed:
            if lane.upto is None:
                await _collect_again(lane, flush)
                continue
            due, reached = await self._missed(lane, lane.upto, now)
            if due:
                return await self._fitting(due, reached)
            lane.told(lane.upto)
            lane.upto = None
        lane.told(lane.sent)
        first = [Due(position, (nid,)) for position, nid in lane.pending[:PDUS]]
        return await self._fitting(first, lane.sent)

    async def _missed(self, lane: Lane, upto: int, now: int) -> tuple[list[Due], int]:
        """What memory does not know of, from the first event on that is for the server, and what is reached before."""
        began = await self._db.read(outbox_events.began_at, lane.sent)
        was_away = began is None or now - began > CATCH_UP_MS
        after = lane.sent
        while after < upto:
            steps = (
                await self._db.snapshot(outbox_events.list_rooms_due, lane.name, after, PDUS)
                if was_away
                else await self._db.snapshot(outbox_events.list_due, lane.name, after, upto, PDUS)
            )
            if any(step.nids for step in steps):
                return steps, after
            if len(steps) < PDUS:
                break
            after = steps[-1].position
        return [], upto

    async def _fitting(self, due: Sequence[Due], reached: int) -> tuple[dict[int, Pdu], int]:
        found = await self._load([nid for step in due for nid in step.nids])
        chosen: dict[int, Pdu] = {}
        size = 0
        for step in due:
            more = {nid: found[nid] for nid in step.nids if nid in found}
            size += sum(len(pdu) for _, pdu in more.values())
            if chosen and (size > MAX_BYTES or len(chosen) + len(more) > PDUS):
                break
            chosen |= more
            reached = step.position
        return chosen, reached

    async def _edus(self, lane: Lane, carried: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], int]:
        """The EDUs that go, and the position up to which they are all."""
        if not lane.has_edus:
            return carried, 0
        lane.has_edus = False
        room = EDUS - len(carried)
        waiting = await self._db.read(outbox.list_edus, lane.name, room + 1)
        chosen, upto, size = list(carried), 0, 0
        for place, edu in enumerate(waiting):
            if place == room or (chosen and size + len(edu.edu) > MAX_BYTES):
                lane.has_edus = True
                break
            chosen.append(edu.edu)
            size += len(edu.edu)
            upto = edu.position
        return tuple(chosen), upto

    async def _load(self, nids: Sequence[int]) -> dict[int, Pdu]:
        """The events by number, in this order, without those that are no more."""
        known = {nid: self._pdus.get(nid) for nid in nids}
        lacking = [nid for nid, pdu in known.items() if pdu is None]
        read = await self._db.read(outbox_events.list_pdus, lacking) if lacking else {}
        return {nid: found for nid, pdu in known.items() if (found := pdu or read.get(nid)) is not None}


async def _collect_again(lane: Lane, flush: Callable[[], Awaitable[int]]) -> None:
    """From here on memory knows again what comes; what came before is in the database."""
    lane.has_missed = False
    lane.pending.clear()
    lane.upto = lane.sent
    try:
        lane.upto = await flush()
    except BaseException:
        lane.has_missed, lane.upto = True, None
        raise


def _is_stale(txn: Transaction, now: int) -> bool:
    age = now - txn.at
    return age > CATCH_UP_MS or (bool(txn.ephemeral) and age > MAX_AGE_MS)
