"""Filters: which events and rooms a client wants to hear of (client-server API, Filtering).

A list that is absent lets everything through, an empty one nothing. The exclusions (`not_…`) always win.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, InvalidParam, MatrixError
from chamberlain.matrix.globs import Glob
from chamberlain.matrix.ids import is_valid_user_id, parse_room_id
from chamberlain.matrix.paths import split_path
from chamberlain.matrix.types import JsonObject

MAX_FILTER_BYTES: Final = 65_536

Names: TypeAlias = tuple[str, ...]


class EventFilter(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """Which events of a kind without a room are wanted: presence, account data."""

    limit: int | None = None
    types: Names | None = None
    not_types: Names | None = None
    senders: Names | None = None
    not_senders: Names | None = None

    @cached_property
    def is_open(self) -> bool:
        """Whether it lets every type and every sender through."""
        lists = (self.types, self.not_types, self.senders, self.not_senders)
        return all(names is None for names in lists[::2]) and not any(lists[1::2])

    @cached_property
    def is_closed(self) -> bool:
        """Whether it is plain that it lets nothing through, so that nothing has to be read."""
        return self.types == () or self.senders == () or "*" in (self.not_types or ())

    def matches(self, type: str, sender: str) -> bool:
        """Whether an event of this type and sender is wanted."""
        return self.is_open or (self.wants_type(type) and self.wants_sender(sender))

    def wants_type(self, type: str) -> bool:
        """Whether events of this type are wanted; `*` in a filter stands for any characters."""
        return self._types.wants(type)

    def wants_sender(self, sender: str) -> bool:
        """Whether events of this sender are wanted."""
        return self._senders.wants(sender)

    def limit_within(self, default: int, maximum: int) -> int:
        """How many events to return: what the client asked for, or `default`; never more than `maximum`."""
        return min(default if self.limit is None else self.limit, maximum)

    @cached_property
    def _types(self) -> "_TypeChoice":
        return _TypeChoice(self.types, self.not_types)

    @cached_property
    def _senders(self) -> "_Choice":
        return _Choice(self.senders, self.not_senders)


class RoomEventFilter(EventFilter, frozen=True, dict=True, omit_defaults=True):
    """Which events of rooms are wanted, and how members and threads are treated.

    `related_by_senders` and `related_by_rel_types` want events to which such events relate: for that the
    relations have to be looked up, so `matches` leaves them to the caller.
    """

    rooms: Names | None = None
    not_rooms: Names | None = None
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    related_by_senders: Names | None = None
    related_by_rel_types: Names | None = None

    def wants_room(self, room_id: str) -> bool:
        """Whether events of this room are wanted."""
        return self._rooms.wants(room_id)

    def wants_event(self, type: str, sender: str, contains_url: bool) -> bool:
        """Whether such an event is wanted, in a room that is; `contains_url`: its content has a `url`."""
        if self.contains_url is not None and contains_url != self.contains_url:
            return False
        return self.is_open or self.matches(type, sender)

    @cached_property
    def _rooms(self) -> "_Choice":
        return _Choice(self.rooms, self.not_rooms)


class RoomFilter(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """Which rooms are wanted in a sync, and what of them."""

    rooms: Names | None = None
    not_rooms: Names | None = None
    include_leave: bool = False
    timeline: RoomEventFilter = RoomEventFilter()
    state: RoomEventFilter = RoomEventFilter()
    ephemeral: RoomEventFilter = RoomEventFilter()
    account_data: RoomEventFilter = RoomEventFilter()

    def wants_room(self, room_id: str) -> bool:
        """Whether this room is wanted at all."""
        return self._rooms.wants(room_id)

    @cached_property
    def _rooms(self) -> "_Choice":
        return _Choice(self.rooms, self.not_rooms)


class Filter(msgspec.Struct, frozen=True, dict=True, omit_defaults=True):
    """A whole filter, as clients upload it or give it inline to /sync."""

    event_fields: Names | None = None
    event_format: Literal["client", "federation"] = "client"
    presence: EventFilter = EventFilter()
    account_data: EventFilter = EventFilter()
    room: RoomFilter = RoomFilter()

    @cached_property
    def fields(self) -> "EventFields | None":
        """The fields to which events have to be cut down; None: none, they stay whole."""
        return None if self.event_fields is None else EventFields(self.event_fields)


F = TypeVar("F", Filter, RoomEventFilter)

DEFAULT_FILTER: Final = Filter()


class EventFields:
    """The fields of events that a client wants, as paths with dots."""

    __slots__ = ("_paths",)

    def __init__(self, event_fields: Iterable[str]) -> None:
        self._paths = tuple(split_path(field) for field in event_fields)

    def select(self, event: JsonObject) -> JsonObject:
        """A copy of the event, as clients see it, with only the wanted fields that it has."""
        selected: JsonObject = {}
        for path in self._paths:
            _copy_field(event, selected, path)
        return selected


def parse_filter(source: bytes | str | Mapping[str, Any]) -> Filter:
    """The filter of a request body, of the `filter` parameter of /sync, or of decoded JSON.

    Raises:
        MatrixError: NOT_JSON for what is no JSON, TOO_LARGE for more than 65,536 bytes.
        BadJson: something has a wrong type.
        InvalidParam: an id is none, or a limit is negative.
    """
    parsed = _decode(source, Filter)
    _check_rooms(parsed.room)
    for event_filter in (parsed.presence, parsed.account_data):
        _check_events(event_filter)
    for event_filter in (
        parsed.room.timeline,
        parsed.room.state,
        parsed.room.ephemeral,
        parsed.room.account_data,
    ):
        _check_events(event_filter)
        _check_rooms(event_filter)
    return parsed


def parse_room_event_filter(source: bytes | str | Mapping[str, Any]) -> RoomEventFilter:
    """The filter of /messages, /context and /search.

    Raises:
        MatrixError: NOT_JSON for what is no JSON, TOO_LARGE for more than 65,536 bytes.
        BadJson: something has a wrong type.
        InvalidParam: an id is none, or a limit is negative.
    """
    parsed = _decode(source, RoomEventFilter)
    _check_events(parsed)
    _check_rooms(parsed)
    return parsed


class _Choice:
    """Names that are wanted (None: all) without those that are not."""

    __slots__ = ("_excluded", "_wanted")

    def __init__(self, wanted: Names | None, excluded: Names | None) -> None:
        self._wanted = None if wanted is None else frozenset(wanted)
        self._excluded = frozenset(excluded or ())

    def wants(self, name: str) -> bool:
        return name not in self._excluded and (self._wanted is None or name in self._wanted)


class _TypeChoice:
    """The same for event types, some of them with wildcards."""

    __slots__ = ("_excluded", "_wanted")

    def __init__(self, wanted: Names | None, excluded: Names | None) -> None:
        self._wanted = None if wanted is None else _Types(wanted)
        self._excluded = _Types(excluded or ())

    def wants(self, name: str) -> bool:
        return name not in self._excluded and (self._wanted is None or name in self._wanted)


class _Types:
    __slots__ = ("_globs", "_names")

    def __init__(self, types: Names) -> None:
        self._names = frozenset(name for name in types if "*" not in name)
        self._globs = [Glob(name, "*") for name in dict.fromkeys(types) if "*" in name]

    def __contains__(self, name: str) -> bool:
        return name in self._names or any(glob.matches(name) for glob in self._globs)


def _copy_field(source: JsonObject, target: JsonObject, path: tuple[str, ...]) -> None:
    """Put what stands at the path in `source` at the same path in `target`; `source` stays as it is."""
    trail = []
    value: Any = source
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return
        trail.append(name)
        value = value[name]
    for name in trail[:-1]:
        target = target.setdefault(name, {})
    target[trail[-1]] = value


def _decode(source: bytes | str | Mapping[str, Any], shape: type[F]) -> F:
    try:
        if not isinstance(source, bytes | str):
            return msgspec.convert(source, shape)
        if len(source) > MAX_FILTER_BYTES:
            raise MatrixError(ErrCode.TOO_LARGE, f"A filter has at most {MAX_FILTER_BYTES} bytes")
        return msgspec.json.decode(source, type=shape)
    except msgspec.ValidationError as error:
        raise BadJson(f"The filter has the wrong shape: {error}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise MatrixError(ErrCode.NOT_JSON, "The filter is not valid JSON") from None


def _check_events(parsed: EventFilter) -> None:
    if parsed.limit is not None and parsed.limit < 0:
        raise InvalidParam("The limit of a filter may not be negative")
    for user_id in (*(parsed.senders or ()), *(parsed.not_senders or ())):
        if not is_valid_user_id(user_id):
            raise InvalidParam("The senders of a filter must be user IDs")


def _check_rooms(parsed: RoomEventFilter | RoomFilter) -> None:
    for room_id in (*(parsed.rooms or ()), *(parsed.not_rooms or ())):
        parse_room_id(room_id)
