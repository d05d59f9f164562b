"""The state where ways of a room's history meet: what conflicts, resolved, as few changes to a stored point."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution import resolve, wanted_keys
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import RoomVersion, StateRes
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.store import events
from chamberlain.store.database import Database
from chamberlain.store.known import rejected_among
from chamberlain.store.state.auth import conflicting_events, ingredients, unconflicted
from chamberlain.store.state.keys import find_keys, names_of
from chamberlain.store.state.lines import Point
from chamberlain.store.state.merge import Comparison, compare, settle
from chamberlain.store.state.write import View, view_values
from chamberlain.store.tx import Read

IN_LOOP: Final = 200
"""Up to so many events are resolved in the event loop."""


class Material(msgspec.Struct, frozen=True):
    """What resolution takes, with events by id."""

    agreed: Mapping[StateKey, EventID]
    conflicted: Mapping[StateKey, Collection[EventID]]
    difference: Collection[EventID]
    events: Mapping[EventID, Event]
    rejected: Collection[EventID]
    nids: Mapping[EventID, int]
    names: Mapping[StateKey, int]


class Resolve:
    """Resolves the states of rooms."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def merge(self, version: RoomVersion, views: Sequence[View], current: Point) -> View:
        """Give the state that some states come to together; `current`: the point of the room's present state."""
        if len(views) == 1:
            return views[0]
        comparison = await self._db.snapshot(compare, views)
        if not comparison.conflicts:
            return min(comparison.views, key=lambda view: len(view.changes))
        material = await self._db.snapshot(_gather, comparison, version)
        if len(material.events) > IN_LOOP:
            outcome = await asyncio.to_thread(_resolved, version, material)
        else:
            outcome = _resolved(version, material)
        return await self._db.snapshot(_settle, comparison, material, outcome, current)

    async def state_at(self, view: View, keys: Collection[StateKey]) -> dict[StateKey, Stored]:
        """Give the events that these keys have in a state."""
        return await self._db.snapshot(state_in, view, keys)


async def state_in(tx: Read, view: View, keys: Collection[StateKey]) -> dict[StateKey, Stored]:
    """Give the events that these keys have in a state."""
    numbers = await find_keys(tx, keys)
    values = await view_values(tx, view, set(numbers.values()))
    found = await events.list_events_by_nid(tx, list(values.values()))
    return {
        name: Stored(*found[values[number]])
        for name, number in numbers.items()
        if number in values and values[number] in found
    }


async def _gather(tx: Read, comparison: Comparison, version: RoomVersion) -> Material:
    parts = await ingredients(tx, comparison, subgraph=version.state_res is StateRes.V2_1)
    loaded = await events.list_events_by_nid(tx, list(parts.events | conflicting_events(comparison)))
    names = await names_of(tx, comparison.conflicts)
    wanted = wanted_keys(version, [event for event, _, _ in loaded.values()])
    agreed = await unconflicted(tx, comparison, wanted)
    loaded |= await events.list_events_by_nid(tx, [nid for nid in agreed.values() if nid not in loaded])
    refused = await rejected_among(tx, loaded)
    ids = {nid: event.event_id for nid, (event, _, _) in loaded.items()}
    return Material(
        agreed={name: ids[nid] for name, nid in agreed.items() if nid in ids},
        conflicted={
            names[key]: {ids[nid] for nid in values if nid is not None and nid in ids}
            for key, values in comparison.conflicts.items()
        },
        difference={ids[nid] for nid in parts.auth_difference if nid in ids},
        events={event.event_id: event for event, _, _ in loaded.values()},
        rejected={ids[nid] for nid in refused},
        nids={event_id: nid for nid, event_id in ids.items()},
        names={name: key for key, name in names.items()},
    )


def _resolved(version: RoomVersion, material: Material) -> dict[StateKey, EventID]:
    """What comes of the conflicts, and what else is not as all states have it."""
    outcome = resolve(
        version,
        material.agreed,
        material.conflicted,
        material.difference,
        material.events,
        material.rejected,
    )
    return {name: event_id for name, event_id in outcome.items() if material.agreed.get(name) != event_id}


async def _settle(
    tx: Read, comparison: Comparison, material: Material, outcome: Mapping[StateKey, EventID], current: Point
) -> View:
    numbers = dict(material.names)
    numbers |= await find_keys(tx, [name for name in outcome if name not in numbers])
    resolved = {
        numbers[name]: material.nids[event_id] for name, event_id in outcome.items() if name in numbers
    }
    return await settle(tx, comparison, resolved, current)
