"""Fetching what was before all that is here of a room (server-server API, Backfilling)."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from chamberlain.matrix.events import Event
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.fetch import Fetch
from chamberlain.rooms.pipeline.fork import Forking
from chamberlain.rooms.pipeline.head import Head, Heads, Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.outliers import Outliers
from chamberlain.rooms.pipeline.redact import redactions_of
from chamberlain.rooms.pipeline.submit import TRIES, Submit
from chamberlain.rooms.pipeline.told import parse_all
from chamberlain.rooms.ports import RemoteServers
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.store.database import Database
from chamberlain.store.known import find_known, list_edges

AT_ONCE: Final = 100
"""Events that are asked for at once."""
EDGES: Final = 10
"""How many ends of what is here are followed at once."""
STATES_TOLD: Final = 3
"""For so many events of one answer others are asked what the state before them was."""
PAUSE_S: Final = 60.0
"""For so long others are not asked again for an event that nobody gave."""
_EVENTS_KEPT: Final = 10_000
_EDGES_SEEN: Final = 100

log = get_logger("rooms")


class Backfill:
    """Has more of the past of rooms here."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        submit: Submit,
        ids: EventIds,
        checks: Checks,
        fetch: Fetch,
        outliers: Outliers,
        forking: Forking,
        remotes: RemoteServers,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._submit = submit
        self._ids = ids
        self._checks = checks
        self._fetch = fetch
        self._outliers = outliers
        self._forking = forking
        self._remotes = remotes
        self._in_vain: Cache[str, float] = Cache(_EVENTS_KEPT, "history that nobody gave")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def before(self, room_id: str, low: int, high: int) -> bool:
        """Have more of what is before the events at low <= depth <= high, as far as others give it; whether there is.

        Those who ask for the same room meanwhile wait, and look then for what is missing still.
        """
        turn = self._turns.setdefault(room_id, asyncio.Lock())
        async with turn:
            return await self._once(room_id, low, high)

    async def upto(self, server: str, room_id: str, event_id: str) -> bool:
        """Have an event that a server told of, and some of what was before it; whether anything of it is new here.

        What is between it and the rest of what is here stays missing. What is newer than all that is here is left to
        come as news.
        """
        head = await self._heads.find(room_id)
        if head is None:
            return False
        try:
            pdus = await self._remotes.backfill(server, room_id, [event_id], AT_ONCE)
        except RemoteError as error:
            log.info("an event was not given", room_id=room_id, event_id=event_id, error=str(error))
            return False
        return await self._place(server, head, [event_id], pdus, deepest=Chain(head).reach)

    async def _once(self, room_id: str, low: int, high: int) -> bool:
        missing = await self._db.read(list_edges, room_id, low, high, _EDGES_SEEN)
        if not missing:
            # Somebody else had it fetched just now.
            return True
        edges = [event_id for event_id in missing if not self._was_in_vain(event_id)][:EDGES]
        head = await self._heads.find(room_id)
        if not edges or head is None:
            return False
        for server in await self._fetch.servers(room_id, None):
            try:
                pdus = await self._remotes.backfill(server, room_id, edges, AT_ONCE)
            except RemoteError as error:
                log.info("no history was given", room_id=room_id, error=str(error))
                continue
            if await self._place(server, head, edges, pdus):
                return True
        for event_id in edges:
            self._in_vain.set(event_id, self._clock.monotonic())
        return False

    def _was_in_vain(self, event_id: str) -> bool:
        failed_at = self._in_vain.get(event_id)
        return failed_at is not None and self._clock.monotonic() - failed_at < PAUSE_S

    async def _place(
        self,
        server: str,
        head: Head,
        edges: Sequence[str],
        pdus: Iterable[bytes],
        *,
        deepest: int | None = None,
    ) -> bool:
        parsed = await self._checks.passed(parse_all(pdus, head.version, head.room_id))
        known = await self._db.read(find_known, [event.event_id for event in parsed])
        new = [
            event for event in parsed if event.event_id not in known or not known[event.event_id].is_placed
        ]
        chunk = _connected(edges, [event for event in new if deepest is None or event.depth <= deepest])
        states = await self._states(server, chunk)
        await self._outliers.keep(head.version, chunk)
        positions = await self._ids.backfill.take(len(chunk))
        placed = False
        # The later one in the room is nearer to what is here: the less negative of the positions.
        for event, position in zip(chunk, reversed(positions), strict=True):
            work = partial(self._place_one, head.room_id, event, states.get(event.event_id), -position)
            placed = await self._submit.in_turn(head.room_id, work) or placed
        return placed

    async def _states(self, server: str, chunk: Sequence[Event]) -> Mapping[str, Mapping[int, int]]:
        """The states before those events whose predecessors are missing, and with them what the others cite."""
        named = {prev for event in chunk for prev in event.prev_events}
        known = await self._db.read(find_known, named)
        here = {event_id for event_id, one in known.items() if one.is_placed} | {e.event_id for e in chunk}
        ends = [event for event in chunk if not here.issuperset(event.prev_events)]
        states: dict[str, Mapping[int, int]] = {}
        for event in ends[:STATES_TOLD]:
            state = await self._fetch.state_before(server, event)
            if state is not None:
                states[event.event_id] = state
        return states

    async def _place_one(
        self, room_id: str, event: Event, state: Mapping[int, int] | None, position: int
    ) -> bool:
        for _ in range(TRIES):
            head = await self._heads.find(room_id)
            known = await self._db.read(find_known, [event.event_id, *event.prev_events])
            own = known.get(event.event_id)
            if head is None or own is None or own.is_placed:
                return False
            is_founded = all(prev in known and known[prev].is_placed for prev in event.prev_events)
            if state is None and not is_founded:
                return False
            redactions = await redactions_of(self._db, self._heads, Chain(head), [event])
            outcome = await self._forking.place_past(
                head,
                Stored(event, own.nid, own.height),
                known,
                state,
                position=position,
                redacted_by=redactions.get(event.event_id),
            )
            if outcome is not None:
                return True
            self._heads.forget(room_id)
        return False


def _connected(edges: Iterable[str], events: Sequence[Event]) -> list[Event]:
    """Those of the events that what is here goes back to, the oldest first."""
    by_id: dict[str, Event] = {event.event_id: event for event in events}
    found: dict[str, Event] = {}
    waiting = list(edges)
    while waiting:
        event = by_id.get(waiting.pop())
        if event is not None and event.event_id not in found:
            found[event.event_id] = event
            waiting.extend(event.prev_events)
    return sorted(found.values(), key=lambda event: event.depth)
