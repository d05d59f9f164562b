"""`/publicRooms` and `/directory/list/room/{roomId}` (client-server API, Listing rooms)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.shown import DirectoryQuery, ListedRoom, Page

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
    """Which part of which server's directory."""

    limit: Query[int | None] = None
    since: Query[str | None] = None
    server: Query[str | None] = None


class Filter(msgspec.Struct):
    """Which rooms; null among the types stands for rooms without one."""

    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class SearchPublicRooms(Request):
    """Which part of a directory, and which rooms of it."""

    limit: int | None = None
    since: str | None = None
    filter: Filter | None = None
    include_all_networks: bool = False
    third_party_instance_id: str | None = None


class QueryPublicRooms(SearchPublicRooms):
    """Which server's directory, and what of it."""

    server: Query[str | None] = None


class PublicRooms(Response):
    """A part of the directory."""

    chunk: Sequence[ListedRoom]
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
    errors=(ErrCode.INVALID_PARAM, ErrCode.FORBIDDEN),
)
async def get_public_rooms(ctx: Context, request: GetPublicRooms) -> PublicRooms:
    """Get a part of the list of public rooms."""
    return await _list(ctx, request.server, DirectoryQuery(limit=request.limit, since=request.since))


@endpoint(
    "POST",
    "/_matrix/client/v3/publicRooms",
    auth=Auth.OPTIONAL,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.FORBIDDEN),
)
async def query_public_rooms(ctx: Context, request: QueryPublicRooms) -> PublicRooms:
    """Search the list of public rooms."""
    return await _list(ctx, request.server, query_of(request))


async def _list(ctx: Context, server: str | None, query: DirectoryQuery) -> PublicRooms:
    """The list of a server, for strangers where the settings let them read it."""
    config = ctx.services.config
    if not config.directory.readable_without_login:
        _ = ctx.requester
    directory = ctx.services.rooms.directory
    if server is None or server == config.server_name:
        return answer(await directory.list_public(query))
    return answer(await directory.list_elsewhere(server, query))


def answer(page: Page) -> PublicRooms:
    """A part of a directory as it is sent."""
    return PublicRooms(
        chunk=page.rooms,
        total_room_count_estimate=page.total,
        next_batch=page.next_batch,
        prev_batch=page.prev_batch,
    )


def query_of(request: SearchPublicRooms) -> DirectoryQuery:
    """What a request wants of a directory."""
    by = request.filter or Filter()
    return DirectoryQuery(
        limit=request.limit,
        since=request.since,
        term=by.generic_search_term,
        types=None if by.room_types is None else frozenset(by.room_types),
        network=request.third_party_instance_id,
        all_networks=request.include_all_networks,
    )
