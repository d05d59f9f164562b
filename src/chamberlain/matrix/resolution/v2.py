"""State resolution v2, of room versions 2 to 11 (Room Versions, v2, State resolution)."""

from collections.abc import Collection, Iterable, Mapping, Set

from chamberlain.matrix.auth_rules.check import check
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY
from chamberlain.matrix.auth_rules.selection import auth_keys
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.resolution.order import (
    Events,
    is_power_event,
    mainline_ordering,
    power_ordering,
    with_auth_chains,
)
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
    """The resolved state."""
    full = {event_id for ids in conflicted.values() for event_id in ids}.union(auth_difference)
    return resolve_from(version, unconflicted, unconflicted, full, events, rejected)


def resolve_from(
    version: RoomVersion,
    start: StateMap[EventID],
    unconflicted: StateMap[EventID],
    full_conflicted: Collection[EventID],
    events: Events,
    rejected: Set[EventID],
) -> dict[StateKey, EventID]:
    """The resolved state, with the iterative auth checks beginning at `start`."""
    known = {event_id for event_id in full_conflicted if event_id in events and events[event_id].key}
    create = _create_event(version, unconflicted, known, events)
    powerful = with_auth_chains(
        (event_id for event_id in known if is_power_event(events[event_id])), known, events
    )
    checks = _Checks(version, dict(start), events, rejected, create)
    checks.apply(power_ordering(powerful, events, create))
    levels = checks.state.get(POWER_LEVELS_KEY)
    checks.apply(mainline_ordering(known - powerful, levels, events))
    return checks.state | dict(unconflicted)


def _create_event(
    version: RoomVersion, unconflicted: StateMap[EventID], known: Set[EventID], events: Events
) -> Event | None:
    if CREATE_KEY in unconflicted:
        return events.get(unconflicted[CREATE_KEY])
    for event_id in known:
        if version.room_id_is_create_hash:
            return events.get(EventID("$" + events[event_id].room_id[1:]))
        if events[event_id].key == CREATE_KEY:
            return events[event_id]
    return None


class _Checks:
    """The iterative auth checks: the state so far, and the events that are applied to it where allowed."""

    def __init__(
        self,
        version: RoomVersion,
        state: dict[StateKey, EventID],
        events: Events,
        rejected: Set[EventID],
        create: Event | None,
    ) -> None:
        self.state = state
        self._version = version
        self._events = events
        self._rejected = rejected
        self._create = create

    def apply(self, ordered: Iterable[EventID]) -> None:
        """Apply the events in this order."""
        for event_id in ordered:
            event = self._events[event_id]
            if event.key is not None and check(event, self._auth_of(event)).allowed:
                self.state[event.key] = event_id

    def _auth_of(self, event: Event) -> dict[StateKey, Event]:
        """What authorizes the event: its own auth events, and over them the state so far."""
        auth: dict[StateKey, Event] = {}
        if self._version.room_id_is_create_hash and self._create is not None:
            auth[CREATE_KEY] = self._create
        for auth_id in event.auth_events:
            self._take(auth, auth_id)
        for key in auth_keys(self._version, event.type, event.sender, event.state_key, event.content):
            if key in self.state:
                self._take(auth, self.state[key])
        return auth

    def _take(self, auth: dict[StateKey, Event], auth_id: EventID) -> None:
        cited = self._events.get(auth_id)
        if cited is not None and cited.key is not None and auth_id not in self._rejected:
            auth[cited.key] = cited
