"""Keeping events that have no place in the room: what others cite, and state that was told to us."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.versions import RoomVersion
from chamberlain.rooms.pipeline.authorize import Reject, by_auth_events, create_id
from chamberlain.rooms.pipeline.consequences import plain_row
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database
from chamberlain.store.known import Known, add_outliers, find_known, list_pdus

AT_ONCE: Final = 500
"""Rows of one transaction."""


class Outliers:
    """Judges events by their auth events, and keeps them."""

    def __init__(self, db: Database, clock: Clock, ids: EventIds) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids

    async def keep(self, version: RoomVersion, events: Iterable[Event]) -> dict[str, Known]:
        """Have the events of one room, well signed, here; give what is known of them and of all that they cite.

        One that cites what is not here is left out. Those that their auth events do not allow are kept as rejected.
        """
        given = {event.event_id: event for event in events}
        cited = {auth for event in given.values() for auth in event.auth_events}
        if version.room_id_is_create_hash:
            cited |= {create_id(event) for event in given.values()}
        known = await self._find(given.keys() | cited)
        work = _Work(version, known, self._clock.now())
        graph = {event_id: needed(event) for event_id, event in given.items()}
        order = await asyncio.to_thread(in_order, graph) if len(graph) > AT_ONCE else in_order(graph)
        ordered = [given[one] for one in order if one not in known or known[one].is_bare]
        await self._load(work, version, ordered, given)
        for start in range(0, len(ordered), AT_ONCE):
            part = ordered[start : start + AT_ONCE]
            numbers = await self._ids.events.take(len(part))
            for event, nid in zip(part, numbers, strict=True):
                work.judge(event, nid)
            await self._write(work)
        return work.known

    async def _find(self, event_ids: Iterable[str]) -> dict[str, Known]:
        wanted = list(event_ids)
        found: dict[str, Known] = {}
        for start in range(0, len(wanted), AT_ONCE):
            found |= await self._db.read(find_known, wanted[start : start + AT_ONCE])
        return found

    async def _load(
        self, work: "_Work", version: RoomVersion, ordered: Sequence[Event], given: Mapping[EventID, Event]
    ) -> None:
        """Have the events that are cited and were here before at hand."""
        wanted = {auth for event in ordered for auth in event.auth_events}
        if version.room_id_is_create_hash:
            wanted |= {create_id(event) for event in ordered}
        missing = [
            event_id for event_id in wanted if event_id in work.known and not work.known[event_id].is_bare
        ]
        for start in range(0, len(missing), AT_ONCE):
            for event_id, pdu in (await self._db.read(list_pdus, missing[start : start + AT_ONCE])).items():
                known = work.known[event_id]
                work.events[EventID(event_id)] = Event.load(pdu, version, event_id, known.room_id)

    async def _write(self, work: "_Work") -> None:
        if not work.rows:
            return
        nids = await self._db.write(add_outliers, work.rows, work.auth)
        work.settle(nids)


class _Work:
    """Events in the making of rows."""

    def __init__(self, version: RoomVersion, known: dict[str, Known], now: int) -> None:
        self.known = known
        self.events: dict[EventID, Event] = {}
        self.rows: list[dict[str, Any]] = []
        self.auth: list[tuple[str, str]] = []
        self._version = version
        self._now = now

    def judge(self, event: Event, nid: int) -> None:
        """Make the event's row, unless it cites what is not here."""
        if any(auth not in self.events for auth in event.auth_events):
            return
        cited = [self.events[auth] for auth in event.auth_events]
        rejected = {auth for auth in event.auth_events if self.known[auth].is_rejected}
        create = self.events.get(create_id(event)) if self._version.room_id_is_create_hash else None
        verdict = by_auth_events(event, cited, create, rejected=rejected)
        height = 1 + max((self.known[auth].height for auth in event.auth_events), default=0)
        row = plain_row(Stored(event, nid, height), client_skeleton(event), self._now)
        is_rejected = isinstance(verdict, Reject)
        if isinstance(verdict, Reject):
            row["rejected"] = verdict.reason
        self.rows.append(row)
        if event.state_key is not None:
            self.auth.extend((event.event_id, auth) for auth in event.auth_events)
        self.events[event.event_id] = event
        self.known[event.event_id] = Known(
            event.event_id, nid, event.room_id, height, False, is_rejected, False
        )

    def settle(self, nids: Mapping[str, int]) -> None:
        """The rows are written, and have these numbers."""
        for event_id, nid in nids.items():
            known = self.known[event_id]
            if known.nid != nid:
                self.known[event_id] = Known(
                    event_id, nid, known.room_id, known.height, False, known.is_rejected, False
                )
        self.rows, self.auth = [], []


def needed(event: Event) -> tuple[EventID, ...]:
    """The events by which an event is judged."""
    if event.version.room_id_is_create_hash and event.prev_events:
        return (*event.auth_events, create_id(event))
    return event.auth_events


def in_order(graph: Mapping[EventID, Sequence[EventID]]) -> list[EventID]:
    """The events, each after those that it needs.

    Those in a circle, which only a lie can be in, are left out, and with them all that need them.
    """
    sorter = TopologicalSorter(
        {event_id: [one for one in needs if one in graph] for event_id, needs in graph.items()}
    )
    with contextlib.suppress(CycleError):
        sorter.prepare()
    found: list[EventID] = []
    while ready := sorter.get_ready():
        found.extend(ready)
        sorter.done(*ready)
    return found
