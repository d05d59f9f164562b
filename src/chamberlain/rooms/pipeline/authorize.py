"""An event against the authorization rules, at the moments that the specification names (server-server API, PDUs).

4. by its auth events            otherwise it is rejected
5. by the state before it        otherwise it is rejected
6. by the current state          otherwise it is soft-failed
"""

from collections.abc import Collection, Mapping, Sequence

from chamberlain.matrix.auth_rules import auth_keys, check
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.auth_rules.selection import check_auth_events
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.types import StateKey


def keys_for(event: Event) -> set[StateKey]:
    """The pieces of state that decide over an event."""
    return {
        CREATE_KEY,
        *auth_keys(event.version, event.type, event.sender, event.state_key, event.content),
    }


def by_auth_events(
    event: Event, cited: Sequence[Event], create: Event | None, *, rejected: Collection[str] = ()
) -> Verdict:
    """The verdict by the auth events themselves; `create` where the room version has nobody cite it."""
    verdict = check_auth_events(event, cited, rejected=rejected)
    if isinstance(verdict, Reject):
        return verdict
    state: dict[StateKey, Event] = {auth.key: auth for auth in cited if auth.key is not None}
    if event.version.room_id_is_create_hash and create is not None:
        state[CREATE_KEY] = create
    return check(event, state)


def by_state(event: Event, state: Mapping[StateKey, Event]) -> Verdict:
    """The verdict by a state of the room, of which `keys_for` is enough."""
    return check(event, state)


def create_id(event: Event) -> EventID:
    """The id of the create event of the event's room, in a room version whose room ids are made of it."""
    return EventID("$" + event.room_id[1:])


__all__ = ["ALLOW", "Reject", "Verdict", "by_auth_events", "by_state", "create_id", "keys_for"]
