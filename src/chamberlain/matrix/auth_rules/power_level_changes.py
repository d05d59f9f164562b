"""Who may change which power levels (Room Versions, the m.room.power_levels rule)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chamberlain.matrix.auth_rules.power_levels import (
    DEFAULTS,
    POWER_LEVELS_KEY,
    creators_of,
    power_levels_of,
    read_level,
)
from chamberlain.matrix.auth_rules.verdict import ALLOW, Reject, Verdict
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import is_valid_user_id
from chamberlain.matrix.types import JsonObject, StateKey
from chamberlain.matrix.versions import RoomVersion

_ABSENT: Final = object()


def check_power_levels(event: Event, state: Mapping[StateKey, Event], create: Event) -> Verdict:
    """The verdict on a new m.room.power_levels event."""
    version = event.version
    problem = _format_problem(event.content, version)
    if problem is None and version.creators_have_infinite_power:
        users = event.content.get("users", {})
        if any(creator in users for creator in creators_of(create)):
            problem = "A creator of the room cannot have a power level"
    if problem is not None:
        return Reject(problem)
    current = state.get(POWER_LEVELS_KEY)
    if current is None:
        return ALLOW
    own_level = power_levels_of(state).user_level(event.sender)
    for check in (_actions_problem, _entries_problem, _users_problem):
        problem = check(current.content, event, own_level)
        if problem is not None:
            return Reject(problem)
    return ALLOW


def _format_problem(content: JsonObject, version: RoomVersion) -> str | None:
    """What makes this no power levels at all; room versions before 10 look at `users` alone."""
    users = content.get("users", {})
    if not isinstance(users, dict):
        return "`users` must be an object"
    for user_id, level in users.items():
        if not is_valid_user_id(user_id) or read_level(level, version) is None:
            return "`users` must map user IDs to integers"
    if not version.integer_power_levels:
        return None
    for name in DEFAULTS:
        if name in content and type(content[name]) is not int:
            return f"`{name}` must be an integer"
    for name in ("events", "notifications"):
        levels = content.get(name, {})
        if not isinstance(levels, dict) or any(type(level) is not int for level in levels.values()):
            return f"`{name}` must be an object of integers"
    return None


def _actions_problem(old: JsonObject, event: Event, own_level: int) -> str | None:
    """A sender may neither touch a level above the own one nor set one."""
    for name, before, after in _changes(old, event.content, DEFAULTS):
        problem = _level_problem(name, before, after, own_level, event.version)
        if problem is not None:
            return problem
    return None


def _entries_problem(old: JsonObject, event: Event, own_level: int) -> str | None:
    """The same for each event type, and since room version 6 for each notification."""
    maps = ("events", "notifications") if event.version.notification_levels_checked else ("events",)
    for where in maps:
        before_map, after_map = _entries(old, where), _entries(event.content, where)
        for name, before, after in _changes(before_map, after_map, before_map | after_map):
            problem = _level_problem(f"{where}.{name}", before, after, own_level, event.version)
            if problem is not None:
                return problem
    return None


def _users_problem(old: JsonObject, event: Event, own_level: int) -> str | None:
    """Nobody changes a user of the same or a higher level, but everybody may step down."""
    before_map, after_map = _entries(old, "users"), _entries(event.content, "users")
    for user_id, before, after in _changes(before_map, after_map, before_map | after_map):
        old_level = read_level(before, event.version)
        if user_id != event.sender and old_level is not None and old_level >= own_level:
            return f"You cannot change the power level of {user_id}, who has as much power as you"
        new_level = read_level(after, event.version)
        if new_level is not None and new_level > own_level:
            return f"You cannot give {user_id} more power than you have"
    return None


def _level_problem(name: str, before: Any, after: Any, own_level: int, version: RoomVersion) -> str | None:
    old_level = read_level(before, version)
    if old_level is not None and old_level > own_level:
        return f"You cannot change `{name}`, which is above your own power level"
    if after is _ABSENT:
        return None
    new_level = read_level(after, version)
    if new_level is None:
        return f"`{name}` must be an integer"
    if new_level > own_level:
        return f"You cannot set `{name}` above your own power level"
    return None


def _entries(content: JsonObject, name: str) -> JsonObject:
    entries = content.get(name)
    return entries if isinstance(entries, dict) else {}


def _changes(
    before: JsonObject, after: JsonObject, names: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Each name whose value was added, changed or removed, with both values."""
    for name in names:
        old_value, new_value = before.get(name, _ABSENT), after.get(name, _ABSENT)
        # 1, True and 1.0 are equal in Python and three things in JSON.
        if old_value != new_value or type(old_value) is not type(new_value):
            yield name, old_value, new_value
