"""Which events authorize an event, and whether it cites those (server-server API, Auth events selection)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, POWER_LEVELS_KEY
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.types import JsonObject, StateKey
from chamberlain.matrix.versions import RoomVersion

JOIN_RULES_KEY: Final = ("m.room.join_rules", "")
AUTHORIZER: Final = "join_authorised_via_users_server"
"""The content key of a join that names who vouches for it."""


def auth_keys(
    version: RoomVersion, event_type: str, sender: str, state_key: str | None, content: JsonObject
) -> set[StateKey]:
    """The pieces of room state that an event must cite in its `auth_events`, as far as the room has them."""
    if event_type == "m.room.create":
        return set()
    keys: set[StateKey] = {POWER_LEVELS_KEY, ("m.room.member", sender)}
    if not version.room_id_is_create_hash:
        keys.add(CREATE_KEY)
    if event_type == "m.room.member" and state_key is not None:
        keys |= _member_keys(version, state_key, content)
    return keys


def _member_keys(version: RoomVersion, target: str, content: JsonObject) -> set[StateKey]:
    keys: set[StateKey] = {("m.room.member", target)}
    membership = content.get("membership")
    if membership in ("join", "invite") or (membership == "knock" and version.knocking):
        keys.add(JOIN_RULES_KEY)
    if membership == "invite":
        token = third_party_token(content)
        if token is not None:
            keys.add(("m.room.third_party_invite", token))
    if membership == "join" and version.restricted_joins:
        authorizer = content.get(AUTHORIZER)
        if isinstance(authorizer, str):
            keys.add(("m.room.member", authorizer))
    return keys


def third_party_token(content: JsonObject) -> str | None:
    """The token of the third-party invite that a membership comes from, if it names one."""
    invite: Any = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, dict) else None
    token = signed.get("token") if isinstance(signed, dict) else None
    return token if isinstance(token, str) else None


def check_auth_events(
    event: Event, auth_events: Sequence[Event], *, rejected: Collection[str] = ()
) -> Verdict:
    """The verdict on the `auth_events` themselves, which hangs on no room state.

    `auth_events` are the events that it cites, `rejected` the ids of those among them that were rejected.
    """
    version = event.version
    expected = auth_keys(version, event.type, event.sender, event.state_key, event.content)
    seen: dict[StateKey, Event] = {}
    for cited in auth_events:
        key = cited.key
        if key is None or key not in expected:
            return Reject(f"It cites {cited.event_id} ({cited.type}), which has no say over it")
        if key in seen:
            return Reject(f"It cites two events for {key[0]}")
        if cited.event_id in rejected:
            return Reject(f"It cites {cited.event_id}, which was rejected")
        if cited.room_id != event.room_id:
            return Reject(f"It cites {cited.event_id}, which is in another room")
        seen[key] = cited
    needs_create = CREATE_KEY in expected
    return Reject("It does not cite the create event") if needs_create and CREATE_KEY not in seen else ALLOW


def select_auth_events(
    version: RoomVersion,
    event_type: str,
    sender: str,
    state_key: str | None,
    content: JsonObject,
    state: Mapping[StateKey, str],
) -> tuple[str, ...]:
    """The ids that an event must cite, out of a state map of event ids, in a fixed order."""
    keys = auth_keys(version, event_type, sender, state_key, content)
    return tuple(sorted(state[key] for key in keys if key in state))
