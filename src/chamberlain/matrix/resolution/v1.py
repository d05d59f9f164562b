"""State resolution of room version 1: by depth, power levels first (Room Versions, v1, State resolution)."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from chamberlain.matrix.auth_rules.check import check
from chamberlain.matrix.auth_rules.power_levels import POWER_LEVELS_KEY
from chamberlain.matrix.auth_rules.selection import JOIN_RULES_KEY, auth_keys
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.types import StateKey, StateMap
from chamberlain.matrix.versions import RoomVersion


def resolve(
    version: RoomVersion,
    unconflicted: StateMap[EventID],
    conflicted: Mapping[StateKey, Collection[EventID]],
    events: Mapping[EventID, Event],
) -> dict[StateKey, EventID]:
    """The resolved state; a key that some states lack is in conflict only if two events claim it."""
    resolved = dict(unconflicted)
    contested: dict[StateKey, list[Event]] = {}
    for key, ids in conflicted.items():
        if len(ids) == 1:
            resolved[key] = next(iter(ids))
        else:
            contested[key] = [events[event_id] for event_id in ids]
    for key in (POWER_LEVELS_KEY, JOIN_RULES_KEY):
        if key in contested:
            resolved[key] = _last_allowed(version, contested.pop(key), resolved, events)
    # What one user's membership comes to has no say over another's.
    memberships = [key for key in contested if key[0] == "m.room.member"]
    resolved |= {key: _last_allowed(version, contested.pop(key), resolved, events) for key in memberships}
    return resolved | {
        key: _highest_allowed(version, claims, resolved, events) for key, claims in contested.items()
    }


def _ascending(claims: Iterable[Event]) -> list[Event]:
    """By ascending depth, then descending SHA-1 of the id."""
    by_hash = sorted(claims, key=lambda event: hashlib.sha1(event.event_id.encode()).digest(), reverse=True)
    return sorted(by_hash, key=lambda event: event.depth)


def _last_allowed(
    version: RoomVersion, claims: list[Event], resolved: StateMap[EventID], events: Mapping[EventID, Event]
) -> EventID:
    """The first event, or the last of those that follow it and are each allowed after the one before."""
    ordered = _ascending(claims)
    winner = ordered[0]
    for event in ordered[1:]:
        state = {**resolved, (winner.type, winner.state_key or ""): winner.event_id}
        if not _is_allowed(version, event, state, events):
            break
        winner = event
    return winner.event_id


def _highest_allowed(
    version: RoomVersion, claims: list[Event], resolved: StateMap[EventID], events: Mapping[EventID, Event]
) -> EventID:
    """The allowed event of the greatest depth; where none is allowed the last, as other servers have it."""
    ordered = _ascending(claims)[::-1]
    for event in ordered:
        if _is_allowed(version, event, resolved, events):
            return event.event_id
    return ordered[-1].event_id


def _is_allowed(
    version: RoomVersion, event: Event, state: StateMap[EventID], events: Mapping[EventID, Event]
) -> bool:
    keys = auth_keys(version, event.type, event.sender, event.state_key, event.content)
    found = {key: events.get(state[key]) for key in keys if key in state}
    return check(event, {key: auth for key, auth in found.items() if auth is not None}).allowed
