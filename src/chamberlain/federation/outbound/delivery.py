"""The lanes of a shard, and what moves in them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from chamberlain.federation.availability import Destinations
from chamberlain.federation.client import FederationClient, federation_path
from chamberlain.federation.outbound.composing import Composer, Prepared
from chamberlain.federation.outbound.ephemera import MAX_AGE_MS, Ephemera
from chamberlain.federation.outbound.lane import Lane, State
from chamberlain.federation.outbound.slots import Slots
from chamberlain.federation.request_signing import Gate
from chamberlain.matrix.remote_errors import BadAnswer, Refused, Unreachable
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.rng import Rng
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import outbox_queue
from chamberlain.store.database import Database
from chamberlain.store.leases import Lease, LeaseLost
from chamberlain.store.outbox_events import Arrival
from chamberlain.store.outbox_queue import Put, ServerState

AT_ONCE: Final = 100
"""So many transactions are under way to servers that have answered lately, and so many to others."""
SECONDS: Final = 60.0
"""How long a server may take to answer: it may have to fetch and check what it lacks."""
CLOSE_SECONDS: Final = 5.0
"""How long the end of this server waits for the answers that are under way."""
MAX_BYTES: Final = 1024 * 1024
REFUSED_WAIT_MS: Final = 60_000
LONGEST_REFUSED_WAIT_MS: Final = 3_600_000
FAILED_WAIT_MS: Final = 5_000
"""After an error of our own."""
PROVEN_KEPT: Final = 20_000
HOPELESS: Final = frozenset({400, 413})
"""What a server says to a transaction that it will never take."""

_log = get_logger("federation")


class Way:
    """How destinations are reached, for all shards of this worker: the slots are for all of them together."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        rng: Rng,
        client: FederationClient,
        gate: Gate,
        availability: Destinations,
        server_name: str,
    ) -> None:
        self.db = db
        self.clock = clock
        self.client = client
        self.gate = gate
        self.availability = availability
        self.server_name = server_name
        self.composer = Composer(db, clock, rng)
        self.transactions_sent = 0
        self._proven: Cache[str, bool] = Cache(PROVEN_KEPT)
        self._fast = Slots(AT_ONCE)
        self._slow = Slots(AT_ONCE)

    def slots_for(self, destination: str) -> Slots:
        """Who has answered lately does not stand in line with those who may keep everyone waiting."""
        return self._fast if self._proven.get(destination) else self._slow

    def note(self, destination: str, *, answered: bool) -> None:
        """Remember whether the destination has answered."""
        if answered:
            self.transactions_sent += 1
            self._proven.set(destination, True)
        else:
            self._proven.pop(destination)


class _Answer(msgspec.Struct):
    pdus: dict[str, Any] = {}


class Delivery:
    """Sends what is due, one transaction at a time for each destination, as long as the lease is held."""

    def __init__(
        self,
        way: Way,
        lease: Lease,
        save: Callable[[], Awaitable[int]],
        lost: Callable[[], None],
        ahead: dict[str, int],
    ) -> None:
        """`save`: as the ledger's; `lost`: called when the lease is found to be another's.

        `ahead`: how far destinations were told beyond the cursor from which on the ledger reads.
        """
        self._way = way
        self._db = way.db
        self._clock = way.clock
        self._lease = lease
        self._save = save
        self._lost = lost
        self._ahead = ahead
        self._ahead_until = max(ahead.values(), default=0)
        self._tasks = Tasks()
        self._is_closing = False
        self._resting: set[Lane] = set()
        self.lanes: dict[str, Lane] = {}

    # ------------------------------------------------------------------------------------- what is to be sent

    def restore(self, behind: Iterable[tuple[str, int]]) -> None:
        """Go on with what was left undone, before anything is added: servers, and how far they were told."""
        for name, sent in behind:
            lane = self.lanes[name] = Lane(name, sent)
            lane.has_missed = lane.is_recorded = lane.txn_is_stored = True
            self._move(lane)

    def add_event(self, event: Arrival, servers: Sequence[str]) -> None:
        """An event is for these servers."""
        self._way.composer.keep(event.nid, event.event_id, event.pdu)
        position = event.position
        ahead = self._ahead if position <= self._ahead_until else {}
        entry = (position, event.nid)
        lanes = self.lanes
        for server in servers:
            if ahead.get(server, 0) >= position:
                continue
            lane = lanes.get(server)
            if lane is None:
                lane = lanes[server] = Lane(server, position - 1)
            lane.add(entry)
            if lane.state is State.IDLE:
                self._move(lane)

    def add_edus(self, servers: Iterable[str], cursor: int) -> None:
        """EDUs for these servers are in the database. `cursor`: the events up to there have been told of."""
        for server in servers:
            lane = self._lane(server, cursor)
            lane.has_edus = True
            self._move(lane)

    def add_ephemera(self, server: str, cursor: int, add: Callable[[Ephemera], None]) -> None:
        """`add` something that is worth little later to what waits for a server; nothing for one that is long gone."""
        lane = self._lane(server, cursor)
        if lane.state is State.RESTING and self._clock.now() - lane.resting_since > MAX_AGE_MS:
            return
        if lane.ephemera is None:
            lane.ephemera = Ephemera()
        add(lane.ephemera)
        self._move(lane)

    def _lane(self, server: str, cursor: int) -> Lane:
        lane = self.lanes.get(server)
        if lane is None:
            lane = self.lanes[server] = Lane(server, cursor)
        return lane

    def wake(self, server: str) -> None:
        """The server is there again."""
        lane = self.lanes.get(server)
        if lane is not None and lane.state is State.RESTING:
            lane.retry_at = 0
            self._go_on(lane)

    def look_again(self) -> None:
        """Go on with those servers whose wait is over."""
        now = self._clock.now()
        for lane in list(self._resting):
            if now - lane.resting_since > MAX_AGE_MS:
                lane.ephemera = lane.kept = None
            if lane.retry_at <= now and self._way.availability.retry_at(lane.name) is None:
                self._go_on(lane)

    def safe_position(self, cursor: int) -> int:
        """Up to where a restart need not read again: what came before is sent, or the database knows that it is not."""
        unknown = (lane.sent for lane in self.lanes.values() if lane.has_events and not lane.is_recorded)
        return min(unknown, default=cursor)

    @property
    def resting(self) -> list[str]:
        """The destinations that are not asked for a while."""
        return [lane.name for lane in self._resting]

    async def close(self) -> None:
        """Begin nothing more, and wait a moment for what is under way; the rest is repeated after the next start."""
        self._is_closing = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._tasks.settle()
        except TimeoutError:
            _log.info("transactions under way are repeated after the next start", count=len(self._tasks))
        await self._tasks.close()

    # ------------------------------------------------------------------------------------------------ moving

    def _go_on(self, lane: Lane) -> None:
        self._resting.discard(lane)
        lane.state = State.IDLE
        self._move(lane)

    def _move(self, lane: Lane) -> None:
        if lane.state is State.IDLE:
            lane.state = State.MOVING
            slots = self._way.slots_for(lane.name)
            slots.enter(partial(self._begin, lane, slots))

    def _begin(self, lane: Lane, slots: Slots) -> bool:
        if self._is_closing:
            return False
        self._tasks.spawn("send a transaction", self._run(lane, slots))
        return True

    async def _run(self, lane: Lane, slots: Slots) -> None:
        try:
            await self._send(lane)
            if lane.state is State.MOVING and not lane.has_work and not lane.settled:
                await self._settle(lane)
        except LeaseLost:
            self._is_closing = True
            self._lost()
        except Exception:
            _log.exception("sending failed", destination=lane.name)
            lane.retry_at = self._clock.now() + FAILED_WAIT_MS
            lane.has_edus = True
            self._lay_to_rest(lane)
        finally:
            slots.leave()
        if lane.state is State.MOVING:
            lane.state = State.IDLE
            if lane.has_work:
                self._move(lane)
            else:
                del self.lanes[lane.name]

    async def _send(self, lane: Lane) -> None:
        if not self._way.gate.permits(lane.name):
            await self._discard(lane)
            return
        if self._way.availability.retry_at(lane.name) is not None:
            await self._rest(lane)
            return
        prepared = await self._way.composer.next(lane, self._save)
        if prepared is None:
            return
        if prepared.must_be_stored and not prepared.is_repeated:
            await self._store(lane, prepared)
        if await self._ask(lane, prepared):
            self._way.note(lane.name, answered=True)
            lane.retry_wait = lane.resting_since = 0
            lane.txn_is_stored = False
            if prepared.must_be_stored:
                lane.settled = False
                lane.told(prepared.txn.upto)
        else:
            self._way.note(lane.name, answered=False)
            lane.kept = None if prepared.must_be_stored else prepared.txn
            await self._rest(lane)

    async def _ask(self, lane: Lane, prepared: Prepared) -> bool:
        """Send a transaction; whether there is no point in sending it once more."""
        txn = prepared.txn
        path = federation_path("v1", "send", txn.txn_id)
        try:
            body = await self._way.client.request(
                lane.name,
                "PUT",
                path,
                prepared.body(self._way.server_name),
                timeout=SECONDS,
                max_bytes=MAX_BYTES,
            )
        except Refused as refused:
            return self._is_hopeless(lane, txn.txn_id, refused)
        except (Unreachable, BadAnswer) as error:
            _log.info("a transaction was not answered", destination=lane.name, reason=str(error))
            return False
        _note_errors(lane.name, body)
        return True

    def _is_hopeless(self, lane: Lane, txn_id: str, refused: Refused) -> bool:
        _log.warning("a transaction was refused", destination=lane.name, txn=txn_id, reason=str(refused))
        if refused.status in HOPELESS:
            return True
        if refused.status >= 500:
            # It is not there, perhaps behind a proxy that is: availability knows how long to wait.
            return False
        lane.retry_wait = min(max(2 * lane.retry_wait, REFUSED_WAIT_MS), LONGEST_REFUSED_WAIT_MS)
        lane.retry_at = self._clock.now() + lane.retry_wait
        return False

    # ---------------------------------------------------------------------------------------- what is written

    async def _store(self, lane: Lane, prepared: Prepared) -> None:
        await self._put(ServerState(lane.name, lane.sent, True, prepared.txn), prepared.edus_upto)
        lane.is_recorded = lane.txn_is_stored = True
        lane.settled = False

    async def _settle(self, lane: Lane) -> None:
        lane.settled, lane.is_recorded = True, False
        try:
            await self._put(ServerState(lane.name, lane.sent, False))
        except BaseException:
            lane.settled = False
            raise

    async def _rest(self, lane: Lane) -> None:
        """Leave the lane alone for a while; where events wait in it, the database knows that they do."""
        if not lane.txn_is_stored and (not lane.settled or (lane.has_events and not lane.is_recorded)):
            await self._put(ServerState(lane.name, lane.sent, lane.has_events))
            lane.is_recorded, lane.settled = lane.has_events, True
        self._lay_to_rest(lane)

    def _lay_to_rest(self, lane: Lane) -> None:
        lane.has_missed = lane.has_events
        lane.upto = None
        lane.pending.clear()
        lane.state = State.RESTING
        lane.resting_since = lane.resting_since or self._clock.now()
        self._resting.add(lane)

    async def _discard(self, lane: Lane) -> None:
        """Forget everything for a server that is not talked to."""
        if lane.has_edus:
            await self._db.write(outbox_queue.trim_edus, [lane.name], 0)
        lane.settled = not (lane.is_recorded or lane.txn_is_stored)
        lane.pending.clear()
        lane.has_missed = lane.has_edus = lane.txn_is_stored = False
        lane.upto = lane.ephemera = lane.kept = None

    async def _put(self, state: ServerState, edus_upto: int = 0) -> None:
        await self._db.write_batch(outbox_queue.put, Put(self._lease, state, edus_upto))


def _note_errors(destination: str, body: bytes) -> None:
    """What is wrong with single events is not made good by sending them once more."""
    try:
        pdus = msgspec.json.decode(body, type=_Answer).pdus
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    for event_id, result in list(pdus.items())[:50]:
        if isinstance(result, dict) and "error" in result:
            reason = str(result["error"])[:200]
            _log.warning("an event was refused", destination=destination, event_id=event_id, reason=reason)
