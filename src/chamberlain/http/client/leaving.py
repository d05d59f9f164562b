"""`POST /rooms/{roomId}/leave` and `…/forget` (client-server API, Leaving rooms)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class LeaveRoom(Request):
    """Which room, and why."""

    room_id: Path[RoomID]
    reason: str | None = None


class ForgetRoom(Request):
    """Which room."""

    room_id: Path[RoomID]


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/leave",
    auth=Auth.GUEST_OK,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.CANNOT_LEAVE_SERVER_NOTICE_ROOM),
)
async def leave_room(ctx: Context, request: LeaveRoom) -> None:
    """Leave a room, reject an invitation to it, or retract a knock."""
    await ctx.services.rooms.membership.leave(ctx.requester.user_id, request.room_id, reason=request.reason)


@endpoint("POST", "/_matrix/client/v3/rooms/{room_id}/forget", auth=Auth.ACCESS_TOKEN, limit=Limit.WRITE)
async def forget_room(ctx: Context, request: ForgetRoom) -> None:
    """Forget a room that was left: it is not listed or synced any more."""
    await ctx.services.rooms.membership.forget(ctx.requester.user_id, request.room_id)
