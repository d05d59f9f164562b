"""State resolution v2.1, of room version 12 (Room Versions, v12, State resolution; MSC4297)."""

from collections.abc import Collection, Mapping, Set

from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution.order import Events
from chamberlain.matrix.resolution.v2 import resolve_from
from chamberlain.matrix.types import StateKey, StateMap
from chamberlain.matrix.versions import RoomVersion


def resolve(
    version: RoomVersion,
    unconflicted: StateMap[EventID],
    conflicted: Mapping[StateKey, Collection[EventID]],
    auth_difference: Collection[EventID],
    events: Events,
    rejected: Set[EventID],
) -> dict[StateKey, EventID]:
    """The resolved state: v2 that starts from nothing, with the conflicted state subgraph in play too."""
    conflicting = {event_id for ids in conflicted.values() for event_id in ids}
    full = conflicting.union(auth_difference) | conflicted_subgraph(conflicting, events)
    return resolve_from(version, {}, unconflicted, full, events, rejected)


def conflicted_subgraph(conflicting: Set[EventID], events: Events) -> set[EventID]:
    """The events on the ways of auth events from one conflicting event to another, both included."""
    leads: dict[EventID, bool] = {}
    # Depth first, by hand: a chain of auth events may be longer than Python's stack.
    waiting = [(event_id, False) for event_id in conflicting]
    while waiting:
        event_id, is_left = waiting.pop()
        event = events.get(event_id)
        cited = () if event is None else event.auth_events
        if is_left:
            leads[event_id] = event_id in conflicting or any(leads.get(auth) for auth in cited)
        elif event_id not in leads:
            leads[event_id] = event_id in conflicting
            waiting.append((event_id, True))
            waiting.extend((auth, False) for auth in cited if auth not in leads)
    return {event_id for event_id, does in leads.items() if does}
