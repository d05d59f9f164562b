"""The two orders of state resolution v2: reverse topological power ordering, and mainline ordering."""

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY, power_levels_of
from chamberlain.matrix.auth_rules.selection import JOIN_RULES_KEY
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID

Events: TypeAlias = Mapping[EventID, Event]

_POWER_KEYS = (POWER_LEVELS_KEY, JOIN_RULES_KEY, CREATE_KEY)


def is_power_event(event: Event) -> bool:
    """Whether the event might take an ability away from somebody.

    Only the power levels and join rules that are in force count, those with an empty state key, and the
    create event does, as all servers have it.
    """
    if event.type == "m.room.member":
        return event.content.get("membership") in ("leave", "ban") and event.sender != event.state_key
    return event.key in _POWER_KEYS


def with_auth_chains(chosen: Iterable[EventID], within: Collection[EventID], events: Events) -> set[EventID]:
    """The chosen events, and those `within` that their auth events lead to without leaving it."""
    found: set[EventID] = set()
    waiting = list(chosen)
    while waiting:
        event_id = waiting.pop()
        if event_id not in found:
            found.add(event_id)
            waiting.extend(auth for auth in events[event_id].auth_events if auth in within)
    return found


def power_ordering(chosen: Collection[EventID], events: Events, create: Event | None) -> list[EventID]:
    """The events, each after its auth events; of those free to come the powerful, early, lesser id first."""
    waits_for = {
        event_id: {auth for auth in events[event_id].auth_events if auth in chosen} for event_id in chosen
    }
    wanted_by: dict[EventID, list[EventID]] = {event_id: [] for event_id in chosen}
    for event_id, auths in waits_for.items():
        for auth in auths:
            wanted_by[auth].append(event_id)

    def rank(event_id: EventID) -> tuple[int, int, EventID]:
        event = events[event_id]
        return -_sender_level(event, events, create), event.origin_server_ts, event_id

    ready = [rank(event_id) for event_id, auths in waits_for.items() if not auths]
    heapq.heapify(ready)
    ordered: list[EventID] = []
    while ready:
        event_id = heapq.heappop(ready)[2]
        ordered.append(event_id)
        for later in wanted_by[event_id]:
            waits_for[later].discard(event_id)
            if not waits_for[later]:
                heapq.heappush(ready, rank(later))
    return ordered


def _sender_level(event: Event, events: Events, create: Event | None) -> int:
    """The level that the sender has by the event's own auth events."""
    if create is None:
        return 0
    levels = _power_levels_event(event, events)
    state = {CREATE_KEY: create}
    if levels is not None:
        state[POWER_LEVELS_KEY] = levels
    return power_levels_of(state).user_level(event.sender)


def _power_levels_event(event: Event, events: Events) -> Event | None:
    """The power levels among an event's auth events."""
    for auth in event.auth_events:
        cited = events.get(auth)
        if cited is not None and cited.key == POWER_LEVELS_KEY:
            return cited
    return None


def mainline_ordering(chosen: Iterable[EventID], levels: EventID | None, events: Events) -> list[EventID]:
    """The events by where they meet the line of power levels that leads to `levels`: the earlier first.

    Those that never meet it come before all; then the early and the lesser id first.
    """
    position: dict[EventID, int] = {}
    step = None if levels is None else events.get(levels)
    while step is not None and step.event_id not in position:
        position[step.event_id] = len(position)
        step = _power_levels_event(step, events)
    nowhere = len(position)

    def rank(event_id: EventID) -> tuple[int, int, EventID]:
        event = events[event_id]
        return -_meet(event, position, nowhere, events), event.origin_server_ts, event_id

    return sorted(chosen, key=rank)


def _meet(event: Event, position: dict[EventID, int], nowhere: int, events: Events) -> int:
    """Where the event meets the mainline; learned for every event of the power levels on the way."""
    passed: list[EventID] = []
    step = _power_levels_event(event, events)
    while step is not None and step.event_id not in position:
        passed.append(step.event_id)
        # Until the end of the way is known; a way that comes back to itself would never meet the line.
        position[step.event_id] = nowhere
        step = _power_levels_event(step, events)
    found = nowhere if step is None else position[step.event_id]
    position.update(dict.fromkeys(passed, found))
    return found
