"""Reading rooms for the servers that are in them (server-server API, Retrieving events, Backfilling)."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final, Literal

import msgspec
import orjson

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.versions import RoomVersion, get_room_version
from chamberlain.rooms.acl import must_be_in_room, must_be_whole
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.shown_to_servers import pdus_for, seen_by
from chamberlain.runtime.clock import Clock
from chamberlain.store import graph, history
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent
from chamberlain.store.graph import GraphEvent
from chamberlain.store.rooms import find_version
from chamberlain.store.state.auth import auth_chain
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import full
from chamberlain.store.tx import Read

MAX_EVENTS: Final = 100
"""How many events one answer gives of a room's history."""
AT_ONCE: Final = 500
"""How many events of a state are in memory at a time."""
STATES_AT_A_TIME: Final = 2
"""How many states are put together at a time; one of 50,000 events takes half a second of a reader."""
NEAR: Final = 200
"""How many events on one side of a time are looked at."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Between which events a server misses some."""

    earliest: Collection[str]
    latest: Collection[str]
    limit: int = 10
    min_depth: int = 0


class StateParts(msgspec.Struct, frozen=True):
    """A state, and what its events go back to, by their numbers."""

    state: list[int]
    auth_chain: list[int]


class RoomReading:
    """Gives what is in rooms to servers that are in them.

    All of it raises NotFound where this server is not in the room, and Forbidden where the asking one is not,
    or is banned by the room's access control list.
    """

    def __init__(self, db: Database, clock: Clock, heads: Heads, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._server_name = server_name
        self._states = asyncio.Semaphore(STATES_AT_A_TIME)

    async def event(self, origin: str, event_id: str) -> bytes:
        """Give one event as the JSON body of /event.

        Raises:
            NotFound: there is no such event.
        """
        event = await self._db.read(graph.find, event_id)
        if event is None:
            raise NotFound("There is no such event")
        await self._check(origin, event.room_id)
        return self._transaction(await self._db.read(_shown, [event], origin))

    async def state_ids(self, origin: str, room_id: str, event_id: str) -> bytes:
        """Give the ids of the state before an event, and of its auth chain, as the JSON body of /state_ids.

        Raises:
            NotFound: the room has no such event, it was rejected, or the state there is not known.
        """
        await self._check(origin, room_id)
        await must_be_whole(self._heads, room_id)
        async with self._states:
            return await self._db.snapshot(_state_ids, room_id, event_id)

    async def state(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]:
        """Give the JSON body of /state piece by piece: the state before an event, and its auth chain.

        Raises:
            NotFound: the room has no such event, it was rejected, or the state there is not known.
        """
        await self._check(origin, room_id)
        await must_be_whole(self._heads, room_id)
        async with self._states:
            parts = await self._db.snapshot(_state, room_id, event_id)
        return self._pieces({"pdus": parts.state, "auth_chain": parts.auth_chain})

    async def auth_chain(self, origin: str, room_id: str, event_id: str) -> AsyncIterator[bytes]:
        """Give the JSON body of /event_auth piece by piece: what an event's auth events go back to.

        Raises:
            NotFound: the room has no such event.
        """
        await self._check(origin, room_id)
        async with self._states:
            chain = await self._db.snapshot(_auth_chain, room_id, event_id)
        return self._pieces({"auth_chain": chain})

    async def backfill(self, origin: str, room_id: str, event_ids: Collection[str], limit: int) -> bytes:
        """Give events and what came before them, the highest first, as the JSON body of /backfill."""
        await self._check(origin, room_id)
        most = min(max(limit, 0), MAX_EVENTS)
        return self._transaction(await self._db.snapshot(_backfill, room_id, event_ids, most, origin))

    async def missing(self, origin: str, room_id: str, missing: Missing) -> bytes:
        """Give events between others, the lowest first, as the JSON body of /get_missing_events."""
        await self._check(origin, room_id)
        pdus = await self._db.snapshot(_missing, room_id, missing, origin)
        return b'{"events":[%b]}' % b",".join(pdus)

    async def nearest(
        self, origin: str, room_id: str, ts: int, direction: Literal["f", "b"]
    ) -> tuple[str, int]:
        """Give the id and the time (ms) of the event nearest to a time, not before it (`f`) or not after it (`b`).

        Raises:
            NotFound: there is none that the server may see.
        """
        await self._check(origin, room_id)
        found = await self._db.snapshot(_nearest, room_id, ts, direction, origin)
        if found is None:
            raise NotFound("There is no event on that side of the time")
        return found.event_id, found.origin_server_ts

    async def _check(self, origin: str, room_id: str) -> None:
        await must_be_in_room(self._db, self._heads, room_id, origin)

    def _transaction(self, pdus: Sequence[bytes]) -> bytes:
        return b'{"origin":%b,"origin_server_ts":%d,"pdus":[%b]}' % (
            orjson.dumps(self._server_name),
            self._clock.now(),
            b",".join(pdus),
        )

    async def _pieces(self, lists: dict[str, list[int]]) -> AsyncIterator[bytes]:
        """A JSON object with lists of events."""
        for n, (name, nids) in enumerate(lists.items()):
            yield b'%b"%b":[' % (b"," if n else b"{", name.encode())
            for start in range(0, len(nids), AT_ONCE):
                pdus = await self._db.snapshot(graph.list_pdus, nids[start : start + AT_ONCE])
                yield (b"," if start else b"") + b",".join(pdus)
            yield b"]"
        yield b"}"


async def _shown(tx: Read, events: Sequence[GraphEvent], server: str) -> list[bytes]:
    if not events:
        return []
    return await pdus_for(tx, events, server, await _version(tx, events[0].room_id))


async def _version(tx: Read, room_id: str) -> RoomVersion:
    version = await find_version(tx, room_id)
    if version is None:
        raise NotFound("There is no such room")
    return get_room_version(version)


async def _get(tx: Read, room_id: str, event_id: str) -> GraphEvent:
    event = await graph.find(tx, event_id)
    if event is None or event.room_id != room_id:
        raise NotFound("The room has no such event")
    return event


async def _state(tx: Read, room_id: str, event_id: str) -> StateParts:
    event = await _get(tx, room_id, event_id)
    if event.rejected:
        raise NotFound("The event was rejected")
    if event.before_line is None or event.before_ver is None:
        raise NotFound("The state at this event is not known")
    point: Point = (event.before_line, event.before_ver)
    try:
        state = (await full(tx, point)).values()
    except LookupError:
        raise NotFound("The state at this event is not kept any more") from None
    return StateParts(list(state), list(await graph.auth_chain_of(tx, state)))


async def _state_ids(tx: Read, room_id: str, event_id: str) -> bytes:
    parts = await _state(tx, room_id, event_id)
    return orjson.dumps(
        {
            "pdu_ids": await graph.list_ids(tx, parts.state),
            "auth_chain_ids": await graph.list_ids(tx, parts.auth_chain),
        }
    )


async def _auth_chain(tx: Read, room_id: str, event_id: str) -> list[int]:
    event = await _get(tx, room_id, event_id)
    return sorted(await auth_chain(tx, await graph.list_nids(tx, event.auth_events)))


async def _backfill(
    tx: Read, room_id: str, event_ids: Collection[str], limit: int, server: str
) -> list[bytes]:
    return await _shown(tx, await graph.walk_back(tx, room_id, event_ids, limit=limit), server)


async def _missing(tx: Read, room_id: str, missing: Missing, server: str) -> list[bytes]:
    found = await graph.walk_back(
        tx,
        room_id,
        missing.latest,
        limit=min(max(missing.limit, 0), MAX_EVENTS),
        but=missing.earliest,
        min_depth=missing.min_depth,
        with_start=False,
    )
    return await _shown(tx, found[::-1], server)


async def _nearest(
    tx: Read, room_id: str, ts: int, direction: Literal["f", "b"], server: str
) -> StoredEvent | None:
    events = await history.list_by_time(tx, room_id, ts, direction, NEAR)
    seen = await seen_by(tx, events, server)
    return next((event for event in events if event.event_id in seen), None)
