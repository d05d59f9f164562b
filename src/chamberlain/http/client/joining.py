"""`POST /rooms/{roomId}/join` and `POST /join/{roomIdOrAlias}` (client-server API, Joining rooms)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class JoinRoomByID(Request):
    """Which room, and why."""

    room_id: Path[RoomID]
    reason: str | None = None
    third_party_signed: JsonObject | None = None


class JoinRoom(Request):
    """Which room, by id or alias, and why."""

    room_id_or_alias: Path[str]
    via: Query[list[str]] = []
    server_name: Query[list[str]] = []
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
    """Join a room that this server knows."""
    ctx.requester.must_not_be_suspended()
    if ctx.requester.is_guest:
        await ctx.services.rooms.membership.check_admits_guests(request.room_id)
    await ctx.services.rooms.membership.join(
        ctx.requester.user_id,
        request.room_id,
        reason=request.reason,
        third_party_signed=request.third_party_signed,
    )
    return Joined(request.room_id)


@endpoint(
    "POST",
    "/_matrix/client/v3/join/{room_id_or_alias}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.JOIN,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.UNABLE_TO_GRANT_JOIN),
)
async def join_room(ctx: Context, request: JoinRoom) -> Joined:
    """Join a room by its id or one of its aliases."""
    ctx.requester.must_not_be_suspended()
    room_id = await ctx.services.rooms.aliases.room_of(request.room_id_or_alias)
    await ctx.services.rooms.membership.join(
        ctx.requester.user_id,
        room_id,
        reason=request.reason,
        third_party_signed=request.third_party_signed,
    )
    return Joined(room_id)
