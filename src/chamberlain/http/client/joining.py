"""`POST /rooms/{roomId}/join` and `POST /join/{roomIdOrAlias}` (client-server API, Joining rooms)."""

from collections.abc import Sequence

import msgspec

from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class JoinRoomByID(Request):
    """Which room; in the body `reason`, `third_party_signed`, and what else the member event is to hold."""

    room_id: Path[RoomID]
    content: Body[JsonObject] = {}


class JoinRoom(Request):
    """Which room, by id or alias; the body is as in `JoinRoomByID`."""

    room_id_or_alias: Path[str]
    via: Query[list[str]] = []
    server_name: Query[list[str]] = []
    content: Body[JsonObject] = {}


class Known(msgspec.Struct):
    """The keys of the body that mean something to the server."""

    reason: str | None = None
    third_party_signed: JsonObject | None = None


class Joined(Response):
    """The room."""

    room_id: RoomID


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/join",
    auth=Auth.GUEST_OK,
    limit=Limit.JOIN,
    errors=(
        ErrCode.FORBIDDEN,
        ErrCode.NOT_FOUND,
        ErrCode.UNABLE_TO_GRANT_JOIN,
        ErrCode.GUEST_ACCESS_FORBIDDEN,
    ),
)
async def join_room_by_id(ctx: Context, request: JoinRoomByID) -> Joined:
    """Join a room by its id."""
    ctx.requester.must_not_be_suspended()
    await _join(ctx, request.room_id, request.content, ())
    return Joined(request.room_id)


@endpoint(
    "POST",
    "/_matrix/client/v3/join/{room_id_or_alias}",
    auth=Auth.GUEST_OK,
    limit=Limit.JOIN,
    errors=(
        ErrCode.FORBIDDEN,
        ErrCode.NOT_FOUND,
        ErrCode.UNABLE_TO_GRANT_JOIN,
        ErrCode.GUEST_ACCESS_FORBIDDEN,
    ),
)
async def join_room(ctx: Context, request: JoinRoom) -> Joined:
    """Join a room by its id or one of its aliases."""
    ctx.requester.must_not_be_suspended()
    room = await ctx.services.rooms.aliases.resolve(request.room_id_or_alias)
    room_id = RoomID(room.room_id)
    await _join(ctx, room_id, request.content, (*request.via, *request.server_name, *room.servers))
    return Joined(room_id)


async def _join(ctx: Context, room_id: RoomID, content: JsonObject, servers: Sequence[str]) -> None:
    try:
        known = msgspec.convert(content, Known)
    except msgspec.ValidationError as error:
        raise BadJson(str(error)) from None
    requester, rooms = ctx.requester, ctx.services.rooms
    if requester.is_guest:
        await rooms.guests.check_admits(requester.user_id, room_id)
    await rooms.membership.join(
        requester.user_id,
        room_id,
        reason=known.reason,
        third_party_signed=known.third_party_signed,
        content={key: value for key, value in content.items() if key not in Known.__struct_fields__},
        servers=servers,
    )
    if requester.is_guest:
        await rooms.guests.see_out(requester.user_id, room_id)
