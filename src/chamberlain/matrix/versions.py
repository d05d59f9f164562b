"""Room versions as data: one record of rules for each, made from the one before it (spec, Room Versions)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError


class EventIdFormat(StrEnum):
    """How an event gets its id."""

    SERVER = "server"
    """Chosen by the origin, `$opaque:server`; references to other events are pairs of id and hashes."""
    BASE64 = "base64"
    """`$` and the reference hash in unpadded base64."""
    URL_SAFE_BASE64 = "url_safe_base64"
    """`$` and the reference hash in unpadded URL-safe base64."""


class StateRes(StrEnum):
    """Which state resolution algorithm a room uses."""

    V1 = "1"
    V2 = "2"
    V2_1 = "2.1"


class RedactionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a redaction leaves of an event."""

    top_level: frozenset[str]
    """The keys of the event that stay."""
    content: Mapping[str, frozenset[str]]
    """For each event type the keys of `content` that stay."""
    create_content_kept: bool = False
    """The content of m.room.create stays whole."""
    third_party_signed_kept: bool = False
    """`third_party_invite.signed` of m.room.member stays."""


class RoomVersion(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one room version."""

    id: str
    event_id_format: EventIdFormat
    state_res: StateRes
    redaction: RedactionRules
    strict_canonical_json: bool = False
    """Floats and integers beyond ±(2^53-1) make an event invalid."""
    key_validity_enforced: bool = False
    """A signing key counts only for events before its `valid_until_ts`."""
    redaction_needs_power: bool = False
    """Whether a redaction may take effect is an authorization rule of its own."""
    redacts_in_content: bool = False
    """What a redaction redacts stands in its `content`, no longer at the top level."""
    aliases_rule: bool = False
    """m.room.aliases is allowed to each server for the state_key that is its own name."""
    notification_levels_checked: bool = False
    """Changes to `notifications` in the power levels need power."""
    knocking: bool = False
    """The join rule `knock` and the membership `knock` exist."""
    restricted_joins: bool = False
    """The join rule `restricted` exists."""
    knock_restricted: bool = False
    """The join rule `knock_restricted` exists."""
    integer_power_levels: bool = False
    """Power levels are integers only, never strings that hold one."""
    creator_in_content: bool = False
    """The creator is `content.creator` of the create event, not its sender."""
    room_id_is_create_hash: bool = False
    """The room id is the create event's id with the sigil `!`; it has no `room_id` and nobody cites it."""
    creators_have_infinite_power: bool = False
    """The create event's sender and its `additional_creators` stand above all power levels."""

    @property
    def has_hash_event_ids(self) -> bool:
        """Whether event ids are derived from the event, not written in it."""
        return self.event_id_format is not EventIdFormat.SERVER


def _keys(words: str) -> frozenset[str]:
    return frozenset(words.split())


_REDACTION_V1 = RedactionRules(
    top_level=_keys(
        "event_id type room_id sender state_key content hashes signatures depth prev_events prev_state "
        "auth_events origin origin_server_ts membership"
    ),
    content=MappingProxyType(
        {
            "m.room.member": _keys("membership"),
            "m.room.create": _keys("creator"),
            "m.room.join_rules": _keys("join_rule"),
            "m.room.power_levels": _keys(
                "ban events events_default kick redact state_default users users_default"
            ),
            "m.room.aliases": _keys("aliases"),
            "m.room.history_visibility": _keys("history_visibility"),
        }
    ),
)


def _with_content(rules: RedactionRules, **changes: str) -> RedactionRules:
    """`rules` with other content keys for `m.room.<name>`; no keys at all drops the type from the list."""
    content = dict(rules.content) | {f"m.room.{name}": _keys(words) for name, words in changes.items()}
    return replace(rules, content=MappingProxyType({kind: keys for kind, keys in content.items() if keys}))


_REDACTION_V6 = _with_content(_REDACTION_V1, aliases="")
_REDACTION_V8 = _with_content(_REDACTION_V6, join_rules="join_rule allow")
_REDACTION_V9 = _with_content(_REDACTION_V8, member="membership join_authorised_via_users_server")
_REDACTION_V11 = replace(
    _with_content(
        _REDACTION_V9,
        redaction="redacts",
        power_levels="ban events events_default invite kick redact state_default users users_default",
    ),
    top_level=_REDACTION_V9.top_level - {"prev_state", "origin", "membership"},
    create_content_kept=True,
    third_party_signed_kept=True,
)

V1 = RoomVersion(
    id="1",
    event_id_format=EventIdFormat.SERVER,
    state_res=StateRes.V1,
    redaction=_REDACTION_V1,
    redaction_needs_power=True,
    aliases_rule=True,
    creator_in_content=True,
)
V2 = replace(V1, id="2", state_res=StateRes.V2)
V3 = replace(V2, id="3", event_id_format=EventIdFormat.BASE64, redaction_needs_power=False)
V4 = replace(V3, id="4", event_id_format=EventIdFormat.URL_SAFE_BASE64)
V5 = replace(V4, id="5", key_validity_enforced=True)
V6 = replace(
    V5,
    id="6",
    strict_canonical_json=True,
    redaction=_REDACTION_V6,
    aliases_rule=False,
    notification_levels_checked=True,
)
V7 = replace(V6, id="7", knocking=True)
V8 = replace(V7, id="8", restricted_joins=True, redaction=_REDACTION_V8)
V9 = replace(V8, id="9", redaction=_REDACTION_V9)
V10 = replace(V9, id="10", knock_restricted=True, integer_power_levels=True)
V11 = replace(V10, id="11", redaction=_REDACTION_V11, redacts_in_content=True, creator_in_content=False)
V12 = replace(
    V11,
    id="12",
    state_res=StateRes.V2_1,
    room_id_is_create_hash=True,
    creators_have_infinite_power=True,
)

ROOM_VERSIONS: Final[Mapping[str, RoomVersion]] = MappingProxyType(
    {version.id: version for version in (V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12)}
)
"""Every room version that this server can take part in, by its id."""


def get_room_version(version_id: object) -> RoomVersion:
    """The rules of this room version.

    Raises:
        MatrixError: UNSUPPORTED_ROOM_VERSION where there is no such version.
    """
    found = ROOM_VERSIONS.get(version_id) if isinstance(version_id, str) else None
    if found is None:
        raise MatrixError(ErrCode.UNSUPPORTED_ROOM_VERSION, "This server does not support that room version")
    return found
