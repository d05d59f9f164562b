"""What other servers tell of rooms that this one may not be in (server-server API, Querying for information).

What they answer is data of strangers: what has not the right type, or speaks of another room, is dropped.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

from chamberlain.federation.answers import Answers
from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.ids import is_valid_server_name, parse_event_id, parse_room_id, server_of
from chamberlain.matrix.remote_errors import BadAnswer, RemoteError, Unreachable
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.shown import (
    AliasedRoom,
    Child,
    DirectoryQuery,
    HierarchyRoom,
    ListedRoom,
    Page,
    RemoteSpace,
    RoomSummary,
)
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks

T = TypeVar("T")
R = TypeVar("R", ListedRoom, RoomSummary)

SECONDS: Final = 10.0
MAX_SERVERS: Final = 3
"""How many servers are asked for one room."""
SERVERS_OF_ALIAS: Final = 50
SMALL_BYTES: Final = 256 * 1024
"""Of an answer about one alias or event."""
ROOMS_OF_LIST: Final = 500
SPACE_BYTES: Final = 512 * 1024
"""Of an answer about a space, which is kept as it came."""
SPACES_KEPT: Final = 200
SPACES_KEPT_SECONDS: Final = 300.0
MAX_CHILDREN: Final = 1_000
_BOUND: Final = 2**53


class _Alias(msgspec.Struct):
    room_id: str
    servers: list[str] = []


class _List(msgspec.Struct):
    chunk: list[Any] = []
    total_room_count_estimate: int | None = None
    next_batch: str | None = None
    prev_batch: str | None = None


class _Space(msgspec.Struct):
    room: JsonObject
    children: list[Any] = []
    inaccessible_children: list[Any] = []


class _Event(msgspec.Struct):
    event_id: str
    origin_server_ts: int


class RemoteRooms:
    """Asks other servers about rooms."""

    def __init__(self, clock: Clock, tasks: Tasks, client: FederationClient) -> None:
        self._client = client
        self._spaces: Answers[tuple[str, bool, tuple[str, ...]], tuple[str, bytes]] = Answers(
            clock, tasks, size=SPACES_KEPT, seconds=SPACES_KEPT_SECONDS, name="remote spaces"
        )

    async def find_alias(self, alias: str) -> AliasedRoom:
        """Ask the alias's server which room it names."""
        server = server_of(alias)
        body = await self._client.get(
            server,
            federation_path("v1", "query", "directory"),
            [("room_alias", alias)],
            timeout=SECONDS,
            max_bytes=SMALL_BYTES,
            even_if_failing=True,
        )
        found = decode_answer(server, body, _Alias)
        servers = [one for one in found.servers if is_valid_server_name(one)]
        return AliasedRoom(_room_id(server, found.room_id), servers[:SERVERS_OF_ALIAS])

    async def list_rooms(self, server: str, query: DirectoryQuery) -> Page:
        """Ask a server for a part of its directory."""
        target = federation_path("v1", "publicRooms")
        body = await self._client.request(
            server, "POST", target, _as_json(query), timeout=SECONDS, even_if_failing=True
        )
        found = decode_answer(server, body, _List)
        rooms = [room for one in found.chunk[:ROOMS_OF_LIST] if (room := _room(one, ListedRoom)) is not None]
        total = found.total_room_count_estimate
        return Page(
            rooms,
            total if total is not None and 0 <= total < _BOUND else len(rooms),
            found.next_batch,
            found.prev_batch,
        )

    async def hierarchy(self, room_id: str, servers: Sequence[str], *, suggested_only: bool) -> RemoteSpace:
        """Ask servers, one after the other, for a room and its children, as they were at most five minutes ago."""

        async def ask(server: str) -> tuple[str, bytes]:
            query = [("suggested_only", "true")] if suggested_only else []
            path = federation_path("v1", "hierarchy", room_id)
            body = await self._client.get(server, path, query, timeout=SECONDS, max_bytes=SPACE_BYTES)
            _space_of(server, room_id, body)
            return server, body

        # What one server tells is not shown to those who would have asked another one.
        question = (room_id, suggested_only, tuple(servers[:MAX_SERVERS]))
        server, body = await self._spaces.get(question, lambda: _first_of(room_id, servers, ask))
        return _space_of(server, room_id, body)

    async def nearest(
        self, room_id: str, servers: Sequence[str], ts: int, direction: Literal["f", "b"]
    ) -> tuple[str, int, str]:
        """Ask servers for the event nearest to a time (ms); give its id, its time and who told."""

        async def ask(server: str) -> tuple[str, int, str]:
            path = federation_path("v1", "timestamp_to_event", room_id)
            query = [("ts", str(ts)), ("dir", direction)]
            body = await self._client.get(server, path, query, timeout=SECONDS, max_bytes=SMALL_BYTES)
            found = decode_answer(server, body, _Event)
            is_on_side = found.origin_server_ts >= ts if direction == "f" else found.origin_server_ts <= ts
            if not is_on_side:
                raise BadAnswer(server, "the event is on the other side of the time")
            return _event_id(server, found.event_id), found.origin_server_ts, server

        return await _first_of(room_id, servers, ask)


async def _first_of(room_id: str, servers: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> T:
    """The first answer that one of the servers gives; raises the last error where none does."""
    error: RemoteError = Unreachable(room_id, "no server is known that could be asked")
    for server in [server for server in dict.fromkeys(servers) if is_valid_server_name(server)][:MAX_SERVERS]:
        try:
            return await ask(server)
        except RemoteError as failure:
            error = failure
    raise error


def _as_json(query: DirectoryQuery) -> JsonObject:
    by: JsonObject = {}
    if query.term:
        by["generic_search_term"] = query.term
    if query.types is not None:
        by["room_types"] = sorted(query.types, key=lambda kind: kind or "")
    body: JsonObject = {
        "limit": query.limit,
        "since": query.since,
        "filter": by or None,
        "third_party_instance_id": query.network,
        "include_all_networks": query.all_networks or None,
    }
    return {key: value for key, value in body.items() if value is not None}


def _space_of(server: str, room_id: str, body: bytes) -> RemoteSpace:
    found = decode_answer(server, body, _Space)
    if found.room.get("room_id") != room_id:
        raise BadAnswer(server, "it tells of another room")
    children = found.room.get("children_state")
    listed = children[:MAX_CHILDREN] if isinstance(children, list) else []
    summary = _summary_of(found.room)
    if summary is None:
        raise BadAnswer(server, "it is no summary of a room")
    room = HierarchyRoom(
        children_state=[child for one in listed if (child := _child(one)) is not None],
        **msgspec.structs.asdict(summary),
    )
    known = (_summary_of(one) for one in found.children[:MAX_CHILDREN] if isinstance(one, dict))
    return RemoteSpace(
        room,
        {child.room_id: child for child in known if child is not None},
        frozenset(one for one in found.inaccessible_children[:MAX_CHILDREN] if isinstance(one, str)),
    )


def _summary_of(room: JsonObject) -> RoomSummary | None:
    # Servers of before 1.15 name no version, and those of before 1.2 no join rule: it was public then.
    return _room({"join_rule": "public", **room}, RoomSummary)


def _room(value: Any, kind: type[R]) -> R | None:
    """The value as this type, or None where it is none or names what is no room."""
    found = _convert(value, kind)
    return found if found is not None and _is_room(found.room_id) else None


def _child(value: Any) -> Child | None:
    found = _convert(value, Child)
    return found if found is not None and _is_room(found.state_key) else None


def _convert(value: Any, kind: type[T]) -> T | None:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _is_room(room_id: str) -> bool:
    try:
        parse_room_id(room_id)
    except InvalidParam:
        return False
    return True


def _room_id(server: str, room_id: str) -> str:
    try:
        return parse_room_id(room_id)
    except InvalidParam:
        raise BadAnswer(server, "it names no room") from None


def _event_id(server: str, event_id: str) -> str:
    try:
        return parse_event_id(event_id)
    except InvalidParam:
        raise BadAnswer(server, "it names no event") from None
