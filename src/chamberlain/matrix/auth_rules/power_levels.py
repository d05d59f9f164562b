"""Power levels: who has which, and what each action needs (client-server API, m.room.power_levels)."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Self

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RoomVersion

CREATE_KEY: Final = ("m.room.create", "")
POWER_LEVELS_KEY: Final = ("m.room.power_levels", "")

CREATOR_LEVEL: Final = 2**62
"""Stands for the infinite level of the creators: above every level that canonical JSON can express."""

DEFAULTS: Final[Mapping[str, int]] = {
    "users_default": 0,
    "events_default": 0,
    "state_default": 50,
    "ban": 50,
    "kick": 50,
    "redact": 50,
    "invite": 0,
}
_CREATOR_DEFAULT: Final = 100
_STRINGY: Final = re.compile(r"\s*[+-]?[0-9]{1,30}\s*", re.ASCII)


def read_level(value: Any, version: RoomVersion) -> int | None:
    """The level that `value` means in this room version; None where it means none."""
    if type(value) is int:
        return value
    if version.integer_power_levels:
        return None
    if isinstance(value, str) and _STRINGY.fullmatch(value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return None


def creators_of(create: Event) -> frozenset[UserID]:
    """The room's creators: one in most room versions, and whom that one named where the version allows it."""
    version = create.version
    if version.creator_in_content:
        creator = create.content.get("creator")
        return frozenset({UserID(creator)}) if isinstance(creator, str) else frozenset()
    creators = {create.sender}
    if version.creators_have_infinite_power:
        additional = create.content.get("additional_creators")
        if isinstance(additional, list):
            creators.update(UserID(user) for user in additional if isinstance(user, str))
    return frozenset(creators)


class PowerLevels:
    """The power levels of a room, every default filled in."""

    __slots__ = ("_creators", "_events", "_notifications", "_users", "actions")

    def __init__(
        self,
        actions: Mapping[str, int],
        users: Mapping[str, int],
        events: Mapping[str, int],
        notifications: Mapping[str, int],
        creators: frozenset[UserID],
    ) -> None:
        self.actions = actions
        self._users = users
        self._events = events
        self._notifications = notifications
        self._creators = creators

    @classmethod
    def read(cls, content: JsonObject | None, version: RoomVersion, creators: frozenset[UserID]) -> Self:
        """The levels that the content of m.room.power_levels means; None: the room has no such event.

        A value that is no level counts as absent.
        """
        supreme = creators if version.creators_have_infinite_power else frozenset[UserID]()
        if content is None:
            users: dict[str, int] = {} if supreme else {user: _CREATOR_DEFAULT for user in creators}
            return cls(DEFAULTS, users, {}, {}, supreme)
        actions = dict(DEFAULTS)
        for name in DEFAULTS:
            level = read_level(content.get(name), version)
            if level is not None:
                actions[name] = level
        return cls(
            actions,
            read_levels(content.get("users"), version),
            read_levels(content.get("events"), version),
            read_levels(content.get("notifications"), version),
            supreme,
        )

    def user_level(self, user_id: str) -> int:
        """What this user has; `CREATOR_LEVEL` for a creator above all levels."""
        if user_id in self._creators:
            return CREATOR_LEVEL
        level = self._users.get(user_id)
        return self.actions["users_default"] if level is None else level

    def event_level(self, event_type: str, is_state: bool) -> int:
        """What sending an event of this type needs."""
        level = self._events.get(event_type)
        if level is not None:
            return level
        return self.actions["state_default" if is_state else "events_default"]

    def notification_level(self, name: str) -> int:
        """What notifying the whole room by this name (`room`) needs."""
        return self._notifications.get(name, 50)

    @property
    def users(self) -> Mapping[str, int]:
        """The users that have a level of their own; creators above all levels are not among them."""
        return self._users

    @property
    def creators(self) -> frozenset[UserID]:
        """The users above all levels; none before room version 12."""
        return self._creators

    @property
    def users_default(self) -> int:
        """What everybody else has."""
        return self.actions["users_default"]

    @property
    def ban(self) -> int:
        """What banning needs."""
        return self.actions["ban"]

    @property
    def kick(self) -> int:
        """What kicking needs."""
        return self.actions["kick"]

    @property
    def invite(self) -> int:
        """What inviting needs."""
        return self.actions["invite"]

    @property
    def redact(self) -> int:
        """What redacting other people's events needs."""
        return self.actions["redact"]


def read_levels(value: Any, version: RoomVersion) -> dict[str, int]:
    """The entries of a map of levels that mean one."""
    if not isinstance(value, dict):
        return {}
    levels = {name: read_level(entry, version) for name, entry in value.items()}
    return {name: level for name, level in levels.items() if level is not None}


def power_levels_of(state: Mapping[tuple[str, str], Event]) -> PowerLevels:
    """The power levels in a room's state, which must hold its create event; read once for each event."""
    create = state[CREATE_KEY]
    found = state.get(POWER_LEVELS_KEY)
    owner = create if found is None else found
    levels = owner._power_levels
    if levels is None:
        content = None if found is None else found.content
        levels = PowerLevels.read(content, create.version, creators_of(create))
        owner._power_levels = levels
    return levels
