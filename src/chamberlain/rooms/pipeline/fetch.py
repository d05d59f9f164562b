"""Getting what is missing around an event from other servers: predecessors, auth events, the state before it.

Never in a transaction and never in a room's turn: others may take their time.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.remote_errors import BadAnswer, RemoteError
from chamberlain.matrix.versions import RoomVersion
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.head import Head
from chamberlain.rooms.pipeline.outliers import Outliers, in_order
from chamberlain.rooms.pipeline.told import AT_ONCE, Told, index, parse_all, parts, read
from chamberlain.rooms.ports import RemoteServers
from chamberlain.runtime.log import get_logger
from chamberlain.store.database import Database
from chamberlain.store.graph import depth_of_arrival
from chamberlain.store.known import find_known, state_of
from chamberlain.store.memberships import servers_by_age

MISSING_AT_ONCE: Final = 50
"""How many events are asked for to fill a gap."""
MISSING_ROUNDS: Final = 4
SERVERS_ASKED: Final = 3
"""How many others are asked where the first one does not know."""
ONE_BY_ONE: Final = 100
"""Up to so many events of a state are asked for singly; for more the whole state is."""
SIDE_BY_SIDE: Final = 8
MAX_STATE: Final = 500_000
"""Events of the state of a room, and of what it goes back to, that are taken."""
IN_LOOP: Final = 100
"""Up to so many events are parsed in the event loop."""

log = get_logger("rooms")


class Fetch:
    """Fills in what is missing; what it got is checked for signatures and, as outliers, judged by its auth events."""

    def __init__(self, db: Database, remotes: RemoteServers, checks: Checks, outliers: Outliers) -> None:
        self._db = db
        self._remotes = remotes
        self._checks = checks
        self._outliers = outliers

    async def servers(self, room_id: str, first: str | None) -> list[str]:
        """Give whom to ask about a room, the best first."""
        others = await self._db.read(servers_by_age, room_id, SERVERS_ASKED)
        named = () if first is None else (first,)
        return list(dict.fromkeys((*named, *others)))

    async def gap_before(self, origin: str, head: Head, event: Event) -> list[Event]:
        """Give the events that lead from what is here to the event, as far as the origin gives them, oldest first.

        What lies before our coming into the room is left to backfill: it would come as news.
        """
        found: dict[EventID, Event] = {}
        floor = await self._db.read(depth_of_arrival, head.room_id)
        latest = [event.event_id]
        earliest = [extremity.event_id for extremity in head.extremities][:MISSING_AT_ONCE]
        for _ in range(MISSING_ROUNDS):
            try:
                pdus = await self._remotes.missing_events(
                    origin,
                    head.room_id,
                    earliest=earliest,
                    latest=latest,
                    min_depth=floor,
                    limit=MISSING_AT_ONCE,
                )
            except RemoteError as error:
                log.info("missing events were not given", room_id=head.room_id, error=str(error))
                break
            parsed = parse_all(pdus, head.version, head.room_id)
            new = await self._checks.passed(
                [
                    one
                    for one in parsed
                    if one.depth >= floor and one.prev_events and one.event_id not in found
                ]
            )
            found.update((one.event_id, one) for one in new)
            lacking = await self._lacking(found.values())
            latest = [one.event_id for one in new if lacking.intersection(one.prev_events)]
            if not latest:
                break
        return [found[name] for name in in_order({name: one.prev_events for name, one in found.items()})]

    async def _lacking(self, events: Collection[Event]) -> set[str]:
        """The predecessors of these events that are neither among them nor here."""
        named = {prev for event in events for prev in event.prev_events} - {
            event.event_id for event in events
        }
        known = await self._db.read(find_known, named)
        return {event_id for event_id in named if event_id not in known or not known[event_id].is_placed}

    async def auth_events(self, origin: str, event: Event) -> None:
        """Have the auth events of an event here, as far as anybody gives them."""
        for server in await self.servers(event.room_id, origin):
            try:
                pdus = await self._remotes.auth_chain(server, event.room_id, event.event_id)
            except RemoteError as error:
                log.info("auth events were not given", event_id=event.event_id, error=str(error))
                continue
            await self._keep(event.version, event.room_id, pdus)
            if not await self._unknown(event.auth_events):
                return

    async def state_before(self, origin: str, event: Event) -> dict[int, int] | None:
        """Give the state before an event as another server tells it, key to event; None where nobody does.

        Servers are asked for the state at the predecessor that is missing here, as most of them ask; where that is
        not a single one, or they do not know it, for the state at the event itself.
        """
        missing = await self._lacking([event])
        places = [*missing, event.event_id] if len(missing) == 1 else [event.event_id]
        for server in await self.servers(event.room_id, origin):
            for place in places:
                try:
                    found = await self._state_told(server, event, place)
                except RemoteError as error:
                    log.info("the state before an event was not given", event_id=place, error=str(error))
                    continue
                if found:
                    return found
        return None

    async def _state_told(self, server: str, event: Event, place: str) -> dict[int, int]:
        """The state before an event as a server tells it: at that event, or at its only missing predecessor."""
        room_id, version = event.room_id, event.version
        state, chain = await self._remotes.state_ids(server, room_id, place)
        if len(state) + len(chain) > MAX_STATE:
            raise BadAnswer(server, "the state is too large")
        await self._have(server, version, room_id, place, [*state, *chain])
        found = await self._db.snapshot(state_of, room_id, state)
        if place == event.event_id:
            return found
        if await self._unknown([place]):
            await self._keep(version, room_id, await self._singly(server, [place]))
            if await self._unknown([place]):
                raise BadAnswer(server, "the event is not given, though its state is")
        return found | await self._db.read(state_of, room_id, [place])

    async def _have(
        self, server: str, version: RoomVersion, room_id: str, place: str, wanted: Sequence[str]
    ) -> None:
        """Have these events of the state at an event here."""
        missing = await self._unknown(wanted)
        if len(missing) > ONE_BY_ONE:
            state, chain = await self._remotes.state(server, room_id, place)
            await self._keep_many(version, room_id, [chain, state])
        elif missing:
            await self._keep(version, room_id, await self._singly(server, missing))

    async def _singly(self, server: str, event_ids: Collection[str]) -> list[bytes]:
        free = asyncio.Semaphore(SIDE_BY_SIDE)

        async def ask(event_id: str) -> bytes | None:
            async with free:
                try:
                    return await self._remotes.event(server, event_id)
                except RemoteError:
                    return None

        found = await asyncio.gather(*map(ask, event_ids))
        return [pdu for pdu in found if pdu is not None]

    async def _keep(self, version: RoomVersion, room_id: str, pdus: Sequence[bytes]) -> None:
        if len(pdus) > IN_LOOP:
            await self._keep_many(version, room_id, [pdus])
        else:
            await self._keep_new(version, parse_all(pdus, version, room_id))

    async def _keep_many(
        self, version: RoomVersion, room_id: str, sources: Sequence[Sequence[bytes]]
    ) -> None:
        everything: dict[EventID, Told] = {}
        for source in sources:
            everything |= await asyncio.to_thread(index, source, version, room_id)
        order = await asyncio.to_thread(in_order, {name: one.needed for name, one in everything.items()})
        for part in parts(order, AT_ONCE):
            some = [everything.pop(name) for name in part]
            await self._keep_new(version, await asyncio.to_thread(read, some, version, room_id))

    async def _keep_new(self, version: RoomVersion, events: Sequence[Event]) -> None:
        known = await self._db.read(find_known, [event.event_id for event in events])
        new = [event for event in events if event.event_id not in known]
        await self._outliers.keep(version, await self._checks.passed(new))

    async def _unknown(self, event_ids: Collection[str]) -> set[str]:
        known = await self._db.snapshot(find_known, event_ids)
        return set(event_ids) - known.keys()
