"""Who may create a room (Room Versions, the m.room.create rule)."""

from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import find_server_of, is_valid_user_id
from chamberlain.matrix.versions import ROOM_VERSIONS


def check_create(event: Event) -> Verdict:
    """The verdict on an m.room.create event; room state has no say in it."""
    version, content = event.version, event.content
    if event.prev_events or event.state_key != "":
        return Reject("A create event comes first and is state with an empty state key")
    if not version.room_id_is_create_hash and find_server_of(event.room_id) != find_server_of(event.sender):
        return Reject("The room ID belongs to another server than the sender")
    named = content.get("room_version", "1")
    if not isinstance(named, str) or named not in ROOM_VERSIONS:
        return Reject("The room version is not known")
    if version.creator_in_content and "creator" not in content:
        return Reject("The create event names no creator")
    if version.creators_have_infinite_power and "additional_creators" in content:
        additional = content["additional_creators"]
        if not isinstance(additional, list) or not all(is_valid_user_id(user) for user in additional):
            return Reject("`additional_creators` must be a list of user IDs")
    return ALLOW
