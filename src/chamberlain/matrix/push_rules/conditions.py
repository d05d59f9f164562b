"""The conditions of push rules, as functions of an event and its room (client-server API, Push Rules)."""

import re
from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any, Final, TypeAlias

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.globs import compile_glob
from chamberlain.matrix.paths import split_path
from chamberlain.matrix.types import JsonObject

DEFAULT_NOTIFICATION_LEVEL: Final = 50
BODY: Final = ("content", "body")

_TOP_LEVEL: Final = frozenset(
    ("event_id", "origin_server_ts", "redacts", "room_id", "sender", "state_key", "type")
)
_ABSENT: Final = object()
_COUNT = re.compile(r"(==|<=|>=|<|>|)([0-9]{1,15})", re.ASCII)
_COMPARISON: Final[dict[str, Callable[[int, int], bool]]] = {
    "": eq,
    "==": eq,
    "<": lt,
    ">": gt,
    "<=": le,
    ">=": ge,
}


class RoomContext(msgspec.Struct, frozen=True):
    """What push rules may look at in a room.

    `member_count`: how many are joined. `sender_power`: the sender's power level (infinite for a creator
    since room version 12). `notification_levels`: `notifications` of the power levels, integers only.
    `display_name`: the name in this room of the user whose rules are evaluated; the defaults do without it.
    """

    member_count: int
    sender_power: float = 0
    notification_levels: Mapping[str, int] = {}
    display_name: str | None = None


Test: TypeAlias = Callable[[Event, RoomContext], bool]


def compile_condition(condition: JsonObject) -> Test:
    """The condition as a function; one that is unknown or lacks its parameters holds for no event."""
    compiler = _COMPILERS.get(condition.get("kind", ""))
    return (compiler(condition) if compiler else None) or _never


def is_complete(condition: JsonObject) -> bool:
    """Whether a condition has the parameters that its kind needs; those of unknown kinds are not judged."""
    compiler = _COMPILERS.get(condition["kind"])
    return compiler is None or compiler(condition) is not None


def may_notify(room: RoomContext, key: str) -> bool:
    """Whether the sender has the power for notifications of this kind, such as `room`."""
    return room.sender_power >= room.notification_levels.get(key, DEFAULT_NOTIFICATION_LEVEL)


def fold(text: str) -> str:
    """The text as case-insensitive matches compare it."""
    return text.lower()


def compile_body_pattern(pattern: str) -> Test:
    """Whether the pattern occurs in `content.body` between word boundaries, in any case."""
    glob = compile_glob(fold(pattern))

    def test(event: Event, room: RoomContext) -> bool:
        body = event.content.get("body")
        return isinstance(body, str) and glob.matches_words(fold(body))

    return test


def _never(event: Event, room: RoomContext) -> bool:
    return False


def _get_property(event: Event, path: tuple[str, ...]) -> Any:
    """What stands at the path, or `_ABSENT`."""
    if len(path) == 1:
        found = getattr(event, path[0], None) if path[0] in _TOP_LEVEL else None
        return _ABSENT if found is None else found
    if path[0] != "content":
        return _ABSENT
    value: Any = event.content
    for name in path[1:]:
        if not isinstance(value, dict):
            return _ABSENT
        value = value.get(name, _ABSENT)
    return value


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int)


def _is_same(one: object, other: object) -> bool:
    """Equality without casts: `True` is not 1."""
    return type(one) is type(other) and one == other


def _event_match(condition: JsonObject) -> Test | None:
    key, pattern = condition.get("key"), condition.get("pattern")
    if not isinstance(key, str) or not isinstance(pattern, str):
        return None
    path = split_path(key)
    if path == BODY:
        return compile_body_pattern(pattern)
    glob = compile_glob(fold(pattern))

    def test(event: Event, room: RoomContext) -> bool:
        value = _get_property(event, path)
        return isinstance(value, str) and glob.matches(fold(value))

    return test


def _event_property_is(condition: JsonObject) -> Test | None:
    key, wanted = condition.get("key"), condition.get("value", _ABSENT)
    if not isinstance(key, str) or not _is_scalar(wanted):
        return None
    path = split_path(key)
    return lambda event, room: _is_same(_get_property(event, path), wanted)


def _event_property_contains(condition: JsonObject) -> Test | None:
    key, wanted = condition.get("key"), condition.get("value", _ABSENT)
    if not isinstance(key, str) or not _is_scalar(wanted):
        return None
    path = split_path(key)

    def test(event: Event, room: RoomContext) -> bool:
        value = _get_property(event, path)
        return isinstance(value, list) and any(_is_same(item, wanted) for item in value)

    return test


def _contains_display_name(condition: JsonObject) -> Test:
    def test(event: Event, room: RoomContext) -> bool:
        body = event.content.get("body")
        if not room.display_name or not isinstance(body, str):
            return False
        return compile_glob(fold(room.display_name), "").matches_words(fold(body))

    return test


def _room_member_count(condition: JsonObject) -> Test | None:
    wanted = condition.get("is")
    found = _COUNT.fullmatch(wanted) if isinstance(wanted, str) else None
    if found is None:
        return None
    compare, count = _COMPARISON[found[1]], int(found[2])
    return lambda event, room: compare(room.member_count, count)


def _sender_notification_permission(condition: JsonObject) -> Test | None:
    key = condition.get("key")
    if not isinstance(key, str):
        return None
    return lambda event, room: may_notify(room, key)


_COMPILERS: Final[dict[str, Callable[[JsonObject], Test | None]]] = {
    "event_match": _event_match,
    "event_property_is": _event_property_is,
    "event_property_contains": _event_property_contains,
    "contains_display_name": _contains_display_name,
    "room_member_count": _room_member_count,
    "sender_notification_permission": _sender_notification_permission,
}
