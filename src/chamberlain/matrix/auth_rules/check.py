"""The authorization rules against a room state, in the order of the specification (Room Versions).

Room versions differ by the data in `versions.RoomVersion`; the engine is one.
"""

from collections.abc import Mapping

from chamberlain.matrix.auth_rules.create import check_create
from chamberlain.matrix.auth_rules.member import check_member, membership_of
from chamberlain.matrix.auth_rules.power_level_changes import check_power_levels
from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY, power_levels_of
from chamberlain.matrix.auth_rules.redaction import check_redaction
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import StateKey


def check(event: Event, auth: Mapping[StateKey, Event]) -> Verdict:
    """The verdict on an event, given the state that it is judged by; never raises.

    `auth` is a room state or the part of it that `auth_keys` names, and always holds the create event:
    in room version 12, where nobody cites it, the caller adds it (its id is the room id with the sigil `$`).
    """
    if event.type == "m.room.create":
        return check_create(event)
    create = auth.get(CREATE_KEY)
    if create is None:
        return Reject("The room has no create event")
    version = event.version
    if version.room_id_is_create_hash and create.event_id[1:] != event.room_id[1:]:
        return Reject("The room ID is not that of the create event")
    if create.content.get("m.federate") is False and find_server_of(event.sender) != find_server_of(
        create.sender
    ):
        return Reject("This room takes no part in federation")
    if event.type == "m.room.aliases" and version.aliases_rule:
        return _check_aliases(event)
    if event.type == "m.room.member":
        return check_member(event, auth, create)
    if membership_of(auth, event.sender) != "join":
        return Reject("You are not in this room")
    return _check_of_member(event, auth, create)


def _check_aliases(event: Event) -> Verdict:
    if event.state_key is None or event.state_key != find_server_of(event.sender):
        return Reject("A server may list only its own aliases")
    return ALLOW


def _check_of_member(event: Event, auth: Mapping[StateKey, Event], create: Event) -> Verdict:
    """The rules for what somebody in the room sends, memberships aside."""
    levels = power_levels_of(auth)
    own_level = levels.user_level(event.sender)
    event_type, state_key = event.type, event.state_key
    if event_type == "m.room.third_party_invite":
        return ALLOW if own_level >= levels.invite else Reject("You do not have the power to invite")
    if own_level < levels.event_level(event_type, state_key is not None):
        return Reject(f"You do not have the power to send {event_type}")
    if state_key is not None and state_key[:1] == "@" and state_key != event.sender:
        return Reject("State under a user ID can be set by that user alone")
    if event_type == "m.room.power_levels":
        return check_power_levels(event, auth, create)
    if event_type == "m.room.redaction" and event.version.redaction_needs_power:
        return check_redaction(event, levels)
    return ALLOW
