"""What a room hands on to the room that replaces it: pure (client-server API, Room Upgrades)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from chamberlain.matrix.auth_rules.power_levels import (
    DEFAULTS,
    PowerLevels,
    creators_of,
    read_level,
    read_levels,
)
from chamberlain.matrix.events import Event
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RoomVersion

HANDED_ON: Final = (
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
)
"""The state that is copied as it is, beside power levels and bans."""
TOMBSTONE: Final = "m.room.tombstone"
_OWNER: Final = 100
_FALLBACKS: Final = {
    "knock_restricted": ("restricted", "knock", "invite"),
    "restricted": ("invite",),
    "knock": ("invite",),
}


def create_content(
    create: Event, last_event: str, version: RoomVersion, upgrader: str, additional: Sequence[str]
) -> JsonObject:
    """The content of the create event of a room that replaces the one of `create`."""
    predecessor: JsonObject = {"room_id": create.room_id}
    if not version.room_id_is_create_hash:
        predecessor["event_id"] = last_event
    content: JsonObject = {"room_version": version.id, "predecessor": predecessor}
    for name in ("type", "m.federate"):
        if name in create.content:
            content[name] = create.content[name]
    if version.creator_in_content:
        content["creator"] = upgrader
    if version.creators_have_infinite_power and additional:
        content["additional_creators"] = list(dict.fromkeys(additional))
    return content


def join_rules(content: JsonObject, version: RoomVersion) -> JsonObject:
    """Join rules as this room version has them: what it does not know becomes the nearest that lets in fewer."""
    known = {
        "restricted": version.restricted_joins,
        "knock": version.knocking,
        "knock_restricted": version.knock_restricted,
    }
    rule = content.get("join_rule")
    if not isinstance(rule, str) or known.get(rule, True):
        return content
    return content | {"join_rule": next(name for name in _FALLBACKS[rule] if known.get(name, True))}


def power_levels(
    create: Event, levels: Event | None, version: RoomVersion, upgrader: str, additional: Iterable[str]
) -> JsonObject:
    """The power levels of the old room, as the new one shall have them."""
    raw: JsonObject = {} if levels is None else levels.content
    creators = creators_of(create)
    old = PowerLevels.read(None if levels is None else raw, create.version, creators)
    content: JsonObject = {key: value for key, value in raw.items() if key not in DEFAULTS}
    for name in DEFAULTS:
        level = read_level(raw.get(name), create.version)
        if level is not None:
            content[name] = level
    users = dict(old.users)
    for creator in old.creators:
        users[creator] = max(_OWNER, users.get(creator, 0))
    events = read_levels(raw.get("events"), create.version)
    if version.creators_have_infinite_power:
        above = {upgrader, *additional}
        users = {user: level for user, level in users.items() if user not in above}
    elif old.creators and TOMBSTONE in events:
        events[TOMBSTONE] = min(events[TOMBSTONE], _OWNER)
    content["users"], content["events"] = users, events
    if "notifications" in raw:
        content["notifications"] = read_levels(raw["notifications"], create.version)
    return content


def raised_for(content: JsonObject, version: RoomVersion, user_id: str) -> JsonObject:
    """The power levels with which a user can set all that is copied; the same where they need no more."""
    if version.creators_have_infinite_power:
        return content
    levels = PowerLevels.read(content, version, frozenset())
    needed = max(
        levels.actions["state_default"],
        levels.ban,
        _OWNER,
        *(level for level in content["events"].values()),
    )
    if levels.user_level(user_id) >= needed:
        return content
    return content | {"users": content["users"] | {user_id: needed}}


def quieted(levels: Event | None, version: RoomVersion) -> JsonObject | None:
    """The power levels that keep ordinary members of the old room from speaking; None where they do already."""
    if levels is None:
        return None
    actions = PowerLevels.read(levels.content, version, frozenset()).actions
    least = max(50, actions["users_default"] + 1)
    raised: dict[str, Any] = {name: least for name in ("events_default", "invite") if actions[name] < least}
    return levels.content | raised if raised else None
