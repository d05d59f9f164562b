"""State resolution by room version (Room Versions, State resolution)."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY
from chamberlain.matrix.auth_rules.selection import auth_keys
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution import v1, v2, v2_1
from chamberlain.matrix.types import StateKey, StateMap
from chamberlain.matrix.versions import RoomVersion, StateRes


def resolve(
    version: RoomVersion,
    unconflicted: StateMap[EventID],
    conflicted: Mapping[StateKey, Collection[EventID]],
    auth_difference: Collection[EventID],
    events: Mapping[EventID, Event],
    rejected: Collection[EventID] = (),
) -> dict[StateKey, EventID]:
    """The resolved state: `unconflicted`, and what comes out for the other keys.

    `unconflicted` may be a part of the unconflicted state, as long as it has what that state has for the
    `wanted_keys` of the events in play: the conflicting ones, the auth difference, for v2.1 also those on
    the ways of auth events from one conflicting event to another. `events` holds all these, their auth
    events, the power levels that they go back to, and the events of `unconflicted`; an auth event that it
    does not hold counts as one that was rejected. `rejected` are those among `events` that were rejected.
    """
    if not conflicted:
        return dict(unconflicted)
    if version.state_res is StateRes.V1:
        return v1.resolve(version, unconflicted, conflicted, events)
    refused = frozenset(rejected)
    if version.state_res is StateRes.V2:
        return v2.resolve(version, unconflicted, conflicted, auth_difference, events, refused)
    return v2_1.resolve(version, unconflicted, conflicted, auth_difference, events, refused)


def wanted_keys(version: RoomVersion, events: Iterable[Event]) -> set[StateKey]:
    """The keys that resolving these events looks up in the unconflicted state."""
    wanted = {CREATE_KEY, POWER_LEVELS_KEY}
    for event in events:
        if event.key is not None:
            wanted.add(event.key)
            wanted |= auth_keys(version, event.type, event.sender, event.state_key, event.content)
    return wanted


def separate(
    states: Sequence[StateMap[EventID]],
) -> tuple[dict[StateKey, EventID], dict[StateKey, set[EventID]]]:
    """The unconflicted part of some states, and the events of all other keys."""
    unconflicted: dict[StateKey, EventID] = {}
    conflicted: dict[StateKey, set[EventID]] = {}
    for key in {key for state in states for key in state}:
        values = [state.get(key) for state in states]
        present = {value for value in values if value is not None}
        if len(present) == 1 and None not in values:
            unconflicted[key] = present.pop()
        else:
            conflicted[key] = present
    return unconflicted, conflicted
