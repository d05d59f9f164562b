"""`/publicRooms` and `/directory/list/room/{roomId}` (client-server API, Listing rooms)."""

from typing import Literal

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.directory import Page
from chamberlain.store.directory import PublicRoom, Wanted

Visibility = Literal["public", "private"]


class GetVisibility(Request):
    """Which room."""

    room_id: Path[RoomID]


class SetVisibility(Request):
    """Which room, and whether the directory lists it."""

    room_id: Path[RoomID]
    visibility: Visibility = "public"


class RoomVisibility(Response):
    """Whether the directory lists the room."""

    visibility: Visibility


class GetPublicRooms(Request):
    """Which part of the directory."""

    limit: Query[int | None] = None
    since: Query[str | None] = None
    server: Query[str | None] = None


class Filter(msgspec.Struct):
    """Which rooms; null among the types stands for rooms without one."""

    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class QueryPublicRooms(Request):
    """Which part of the directory, and which rooms of it."""

    server: Query[str | None] = None
    limit: int | None = None
    since: str | None = None
    filter: Filter | None = None
    include_all_networks: bool = False
    third_party_instance_id: str | None = None


class PublicRoomsChunk(Response):
    """What the directory shows of a room."""

    room_id: str
    num_joined_members: int
    world_readable: bool
    guest_can_join: bool
    join_rule: str
    name: str | None = None
    topic: str | None = None
    avatar_url: str | None = None
    canonical_alias: str | None = None
    room_type: str | None = None


class PublicRooms(Response):
    """A part of the directory."""

    chunk: list[PublicRoomsChunk]
    total_room_count_estimate: int
    next_batch: str | None = None
    prev_batch: str | None = None


@endpoint(
    "GET",
    "/_matrix/client/v3/directory/list/room/{room_id}",
    auth=Auth.NONE,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND,),
)
async def get_room_visibility_on_directory(ctx: Context, request: GetVisibility) -> RoomVisibility:
    """Get whether the directory lists a room."""
    public = await ctx.services.rooms.directory.is_public(request.room_id)
    return RoomVisibility("public" if public else "private")


@endpoint(
    "PUT",
    "/_matrix/client/v3/directory/list/room/{room_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.NOT_FOUND, ErrCode.FORBIDDEN),
)
async def set_room_visibility_on_directory(ctx: Context, request: SetVisibility) -> None:
    """Have the directory list a room, or not."""
    requester = ctx.requester
    requester.must_not_be_suspended()
    await ctx.services.rooms.directory.set_public(
        requester.user_id, request.room_id, request.visibility == "public", is_admin=requester.is_admin
    )


@endpoint(
    "GET",
    "/_matrix/client/v3/publicRooms",
    auth=Auth.OPTIONAL,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def get_public_rooms(ctx: Context, request: GetPublicRooms) -> PublicRooms:
    """Get a part of the list of public rooms."""
    _check_reader(ctx, request.server)
    directory = ctx.services.rooms.directory
    return _answer(await directory.list_public(Wanted(), limit=request.limit, since=request.since))


@endpoint(
    "POST",
    "/_matrix/client/v3/publicRooms",
    auth=Auth.OPTIONAL,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def query_public_rooms(ctx: Context, request: QueryPublicRooms) -> PublicRooms:
    """Search the list of public rooms."""
    _check_reader(ctx, request.server)
    by = request.filter or Filter()
    types = None if by.room_types is None else frozenset(by.room_types)
    directory = ctx.services.rooms.directory
    page = await directory.list_public(
        Wanted(by.generic_search_term, types), limit=request.limit, since=request.since
    )
    return _answer(page)


def _check_reader(ctx: Context, server: str | None) -> None:
    """Refuse strangers where the settings ask for a login, and the lists of servers that cannot be asked."""
    config = ctx.services.config
    if not config.directory.readable_without_login:
        _ = ctx.requester
    if server is not None and server != config.server_name:
        raise NotFound("The list of this server cannot be had")


def _answer(page: Page) -> PublicRooms:
    return PublicRooms(
        chunk=[chunk_of(room) for room in page.rooms],
        total_room_count_estimate=page.total,
        next_batch=page.next_batch,
        prev_batch=page.prev_batch,
    )


def chunk_of(room: PublicRoom) -> PublicRoomsChunk:
    """What clients get of a room in lists."""
    return PublicRoomsChunk(
        room_id=room.room_id,
        num_joined_members=room.joined,
        world_readable=room.history_visibility == "world_readable",
        guest_can_join=room.guest_access == "can_join",
        join_rule=room.join_rule or "invite",
        name=room.name,
        topic=room.topic,
        avatar_url=room.avatar_url,
        canonical_alias=room.canonical_alias,
        room_type=room.room_type,
    )
