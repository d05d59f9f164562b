"""`/directory/room/{roomAlias}` and `/rooms/{roomId}/aliases` (client-server API, Room aliases)."""

from collections.abc import Sequence

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class GetAlias(Request):
    """Which alias."""

    room_alias: Path[str]


class SetAlias(Request):
    """Which alias, and the room that it is to name."""

    room_alias: Path[str]
    room_id: RoomID


class GetAliases(Request):
    """Which room."""

    room_id: Path[RoomID]


class AliasedRoom(Response):
    """The room that an alias names, and servers that know the room."""

    room_id: RoomID
    servers: Sequence[str]


class LocalAliases(Response):
    """The aliases that this server has for a room."""

    aliases: list[str]


@endpoint(
    "GET",
    "/_matrix/client/v3/directory/room/{room_alias}",
    auth=Auth.NONE,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def get_room_id_by_alias(ctx: Context, request: GetAlias) -> AliasedRoom:
    """Get the room that an alias names."""
    found = await ctx.services.rooms.aliases.find(request.room_alias)
    return AliasedRoom(RoomID(found.room_id), found.servers)


@endpoint(
    "PUT",
    "/_matrix/client/v3/directory/room/{room_alias}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND, ErrCode.FORBIDDEN, ErrCode.UNKNOWN),
)
async def set_room_alias(ctx: Context, request: SetAlias) -> None:
    """Give a room an alias."""
    ctx.requester.must_not_be_suspended()
    await ctx.services.rooms.aliases.add(ctx.requester.user_id, request.room_alias, request.room_id)


@endpoint(
    "DELETE",
    "/_matrix/client/v3/directory/room/{room_alias}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND, ErrCode.FORBIDDEN),
)
async def delete_room_alias(ctx: Context, request: GetAlias) -> None:
    """Remove an alias."""
    requester = ctx.requester
    await ctx.services.rooms.directory.delete_alias(
        requester.user_id, request.room_alias, is_admin=requester.is_admin
    )


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/aliases",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN,),
)
async def get_local_aliases(ctx: Context, request: GetAliases) -> LocalAliases:
    """Get the aliases that this server has for a room that one may look into."""
    rooms = ctx.services.rooms
    await rooms.reading.point_for(ctx.requester.user_id, request.room_id)
    return LocalAliases(await rooms.aliases.list_of(request.room_id))
