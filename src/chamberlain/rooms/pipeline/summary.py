"""What is kept of a room's current state beside the state itself: its summary and the memberships. Pure."""

from typing import Any, Final

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import text_of

Summary = dict[str, Any]
"""A row of `room_summaries`."""

NEW_SUMMARY: Final[Summary] = {
    "name": None,
    "topic": None,
    "avatar_url": None,
    "canonical_alias": None,
    "join_rule": None,
    "history_visibility": None,
    "guest_access": None,
    "encryption": None,
    "room_type": None,
    "tombstone": None,
    "federatable": True,
    "joined": 0,
    "invited": 0,
    "local_joined": 0,
    "state_events": 0,
}
_COLUMNS: Final = {
    "m.room.name": ("name", "name"),
    "m.room.topic": ("topic", "topic"),
    "m.room.avatar": ("avatar_url", "url"),
    "m.room.canonical_alias": ("canonical_alias", "alias"),
    "m.room.join_rules": ("join_rule", "join_rule"),
    "m.room.history_visibility": ("history_visibility", "history_visibility"),
    "m.room.guest_access": ("guest_access", "guest_access"),
    "m.room.encryption": ("encryption", "algorithm"),
    "m.room.tombstone": ("tombstone", "replacement_room"),
}


def summarize(summary: Summary, event: Event, *, is_new: bool) -> bool:
    """Have the summary say what a state event says that takes effect; whether that changed it.

    `is_new`: its key had no event before.
    """
    if is_new:
        summary["state_events"] += 1
    column = _COLUMNS.get(event.type)
    if column is not None and event.state_key == "":
        summary[column[0]] = text_of(event.content, column[1])
        return True
    if event.type == "m.room.create":
        summary["room_type"] = text_of(event.content, "type")
        summary["federatable"] = event.content.get("m.federate") is not False
    return is_new


def retract(summary: Summary, event: Event) -> None:
    """Have the summary not say any more what a state event said whose key has no event now."""
    summary["state_events"] -= 1
    column = _COLUMNS.get(event.type)
    if column is not None and event.state_key == "":
        summary[column[0]] = None


def take_back(summary: Summary, redacted: Event) -> bool:
    """Have the summary say no more than what is left of current state that was redacted; whether that changed it."""
    column = _COLUMNS.get(redacted.type)
    if column is None or redacted.state_key != "":
        return False
    summary[column[0]] = text_of(redacted.content, column[1])
    return True


def membership_in(event: Event | None) -> str | None:
    """The membership that a member event gives; None without an event."""
    return None if event is None else text_of(event.content, "membership") or "leave"


def count_member(summary: Summary, was: str | None, now: str | None, *, local: bool) -> None:
    """Have the summary's counts follow a user from one membership to another."""
    for name, column in (("join", "joined"), ("invite", "invited")):
        step = (now == name) - (was == name)
        summary[column] += step
        if name == "join" and local:
            summary["local_joined"] += step


def membership_row(event: Event, *, local: bool) -> dict[str, Any]:
    """The columns of `memberships`, but the position, that a member event makes."""
    return {
        "room_id": event.room_id,
        "user_id": event.state_key or "",
        "membership": membership_in(event),
        "local": local,
        "server": None if local else find_server_of(event.state_key or ""),
        "event_id": event.event_id,
        "sender": event.sender,
        "display_name": text_of(event.content, "displayname"),
        "avatar_url": text_of(event.content, "avatar_url"),
    }
