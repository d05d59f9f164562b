"""Working off what was staged: each room for itself, in order, so that a busy one holds up no other.

A room is worked on by one worker at a time: where several share the database, by the one that holds its lease.
What was worked off is deleted afterwards, so that a crash makes it be done again, which is harmless.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol

from chamberlain.matrix.events import Event
from chamberlain.matrix.versions import get_room_version
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import entering, kinds, leases, outside, staged
from chamberlain.store.database import Database
from chamberlain.store.leases import Lease, LeaseLost
from chamberlain.store.rooms import find_version, rooms_with_ours
from chamberlain.store.staged import Arrival
from chamberlain.store.tx import Change, Read, Write

ROOMS_AT_ONCE: Final = 64
"""Most of the time a room that takes long waits for other servers."""
BATCH: Final = 50
"""About so many PDUs of a room, and the next room has its turn."""
TRIES: Final = 5
"""How often an event that fails alone is tried before it is given up."""
RETRY_S: Final = 5.0
"""When a room is tried again after an unexpected failure."""
LEASE_S: Final = 20.0
"""How long a room stands still after its worker died."""
ENTERING_RETRY_S: Final = 1.0
"""When it is looked whether a user of ours has come into the room."""
LEASED_RETRY_S: Final = 1.0
"""When it is looked whether the worker that had a room's lease has left anything."""

_log = get_logger("inbound")


class Accept(Protocol):
    """What decides over events of other servers."""

    async def accept(self, origin: str, room_id: str, events: Sequence[Event]) -> None:
        """Work off events that a server sent for a room; those that are known already are skipped."""
        ...


class _Entering(Exception):
    """A user of ours is being brought into the room, which has no head yet to put events on."""


class RoomQueues:
    """Has staged PDUs accepted."""

    def __init__(self, db: Database, clock: Clock, accept: Accept, holder: str, *, shared: bool) -> None:
        """`shared`: other workers use the same database; `holder`: this one's name in leases."""
        self._db = db
        self._clock = clock
        self._accept = accept
        self._shared = shared
        self._holder = holder
        self._tasks = Tasks()
        self._waiting: deque[str] = deque()
        self._again: dict[str, bool] = {}
        """The rooms that wait or are worked on, each with whether more came while it was worked on."""
        self._failed: set[str] = set()
        """Rooms whose first events come one by one, as together they failed."""
        self._tries: dict[str, int] = {}
        """How often events failed alone."""
        self.given_up = 0
        """How many events this worker could not work off and has dropped; the log has them."""
        self._leases: dict[str, Lease] = {}
        self._running = 0
        self._is_open = False
        db.subscribe(self._heard)

    async def start(self) -> None:
        """Go on with what waits."""
        self._is_open = True
        for room_id in await self._db.read(staged.rooms_waiting):
            self.wake(room_id)
        if self._shared:
            self._tasks.spawn("keep the rooms' leases", self._renew_forever())

    async def close(self) -> None:
        """Stop; what waits is worked off after the next start."""
        self._is_open = False
        await self._tasks.close()

    @property
    def busy(self) -> int:
        """How many rooms wait or are worked on."""
        return len(self._again)

    def wake(self, room_id: str) -> None:
        """Have the room worked on. A hint: the database is the truth."""
        if room_id in self._again:
            self._again[room_id] = True
        elif self._is_open:
            self._again[room_id] = False
            self._waiting.append(room_id)
            self._fill()

    def _heard(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # Without a payload another worker took it, which works on it unless the lease of the room is here.
            if change.kind == kinds.STAGED and (change.payload is not None or change.entity in self._again):
                self.wake(change.entity)

    def _fill(self) -> None:
        if self._waiting and self._running < ROOMS_AT_ONCE:
            self._running += 1
            self._tasks.spawn("work off rooms", self._work())

    async def _work(self) -> None:
        """Give each waiting room its turn, until none waits."""
        try:
            while self._waiting:
                room_id = self._waiting.popleft()
                self._again[room_id] = False
                delay = await self._turn(room_id)
                if delay == 0.0 or self._again[room_id]:
                    self._waiting.append(room_id)
                    continue
                del self._again[room_id]
                if delay is not None:
                    self._clock.call_later(delay, self.wake, room_id)
        finally:
            self._running -= 1

    async def _turn(self, room_id: str) -> float | None:
        """Work on a room; give after how many seconds it has to be looked at again, None where nothing waits."""
        try:
            more = await self._work_on(room_id)
            return 0.0 if more else None
        except LeaseLost:
            self._leases.pop(room_id, None)
            return LEASED_RETRY_S
        except _Entering:
            await self._release(room_id)
            return ENTERING_RETRY_S
        except Exception:
            _log.exception("events of other servers could not be worked off", room=room_id)
            self._failed.add(room_id)
            return RETRY_S

    async def _work_on(self, room_id: str) -> bool:
        """Work off the next few of a room; whether there may be more.

        Raises:
            LeaseLost: another worker is at it.
            _Entering: a user of ours is being brought into the room.
        """
        version, arrivals = await self._db.read(_load, room_id, BATCH, self._clock.now())
        if not arrivals:
            await self._release(room_id)
            return False
        lease = await self._lease(room_id)
        if lease is not None:
            # What waited before the lease was held may be done by now.
            version, arrivals = await self._db.read(_load, room_id, BATCH, self._clock.now())
        if version is not None:
            for origin, events in _by_origin(arrivals, version, room_id):
                await self._hand_over(origin, room_id, events)
        self._failed.discard(room_id)
        is_last = sum(len(arrival.pdus) for arrival in arrivals) < BATCH and not self._again[room_id]
        positions = [arrival.position for arrival in arrivals]
        if lease is None:
            await self._db.write_batch(staged.forget, positions)
        else:
            await self._db.write(_done, positions, lease, release=is_last)
        if is_last:
            self._leases.pop(room_id, None)
        return not is_last

    async def _hand_over(self, origin: str, room_id: str, events: Sequence[Event]) -> None:
        if room_id not in self._failed:
            await self._accept.accept(origin, room_id, events)
            return
        for event in events:
            try:
                await self._accept.accept(origin, room_id, [event])
            except Exception:
                tries = self._tries.pop(event.event_id, 0) + 1
                if tries < TRIES:
                    # It may be the database, and no fault of the event.
                    self._tries[event.event_id] = tries
                    raise
                self.given_up += 1
                _log.exception("an event was given up", room=room_id, event_id=event.event_id)

    # ---------------------------------------------------------------------------------------------- leases

    async def _lease(self, room_id: str) -> Lease | None:
        """The lease of a room; None where this is the only worker.

        Raises:
            LeaseLost: another worker has it.
        """
        if not self._shared:
            return None
        lease = self._leases.get(room_id)
        if lease is None:
            now = self._clock.now()
            lease = await self._db.write(
                leases.take, f"inbound:{room_id}", self._holder, now, now + round(LEASE_S * 1000)
            )
            if lease is None:
                raise LeaseLost(room_id)
            self._leases[room_id] = lease
        return lease

    async def _release(self, room_id: str) -> None:
        lease = self._leases.pop(room_id, None)
        if lease is not None:
            await self._db.write(leases.release, lease)

    async def _renew_forever(self) -> None:
        """Keep the leases, and look after the rooms of workers that have died."""
        while True:
            await self._clock.sleep(LEASE_S / 4)
            try:
                held = list(self._leases.values())
                if held:
                    await self._db.write(_renew, held, self._clock.now() + round(LEASE_S * 1000))
                for room_id in await self._db.read(staged.rooms_waiting):
                    if room_id not in self._again:
                        self.wake(room_id)
            except Exception:
                _log.exception("the leases of rooms could not be renewed")


def _by_origin(arrivals: Sequence[Arrival], version: str, room_id: str) -> Iterator[tuple[str, list[Event]]]:
    """What came from one server after the other."""
    rules = get_room_version(version)
    for origin, theirs in groupby(arrivals, lambda arrival: arrival.origin):
        yield (
            origin,
            [
                Event.load(pdu, rules, event_id, room_id)
                for arrival in theirs
                for event_id, pdu in arrival.pdus
            ],
        )


async def _load(tx: Read, room_id: str, limit: int, now: int) -> tuple[str | None, list[Arrival]]:
    arrivals = await staged.first_in(tx, room_id, limit)
    if not arrivals:
        return None, arrivals
    if await entering.find_version(tx, room_id, now) is not None and not await rooms_with_ours(
        tx, (room_id,)
    ):
        raise _Entering
    return await find_version(tx, room_id) or await outside.find_version(tx, room_id), arrivals


async def _done(tx: Write, positions: Sequence[int], lease: Lease, *, release: bool) -> None:
    await leases.fence(tx, lease)
    await staged.forget(tx, [positions])
    if release:
        await leases.release(tx, lease)


async def _renew(tx: Write, held: Sequence[Lease], until: int) -> None:
    for lease in held:
        await leases.renew(tx, lease, until)
