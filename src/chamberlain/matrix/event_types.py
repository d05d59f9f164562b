"""The types of events that more than one part of the server looks for (client-server API, Room Events)."""

from typing import Final

CANONICAL_ALIAS: Final = "m.room.canonical_alias"
GUEST_ACCESS: Final = "m.room.guest_access"
HISTORY_VISIBILITY: Final = "m.room.history_visibility"
JOIN_RULES: Final = "m.room.join_rules"
MEMBER: Final = "m.room.member"
REDACTION: Final = "m.room.redaction"
