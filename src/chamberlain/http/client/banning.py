"""`POST /rooms/{roomId}/ban` and `…/unban` (client-server API, Banning users)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID, parse_user_id


class Ban(Request):
    """Who is banned where, or no longer, and why."""

    room_id: Path[RoomID]
    user_id: str
    reason: str | None = None


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/ban",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def ban(ctx: Context, request: Ban) -> None:
    """Remove a user from a room and keep them out."""
    ctx.requester.must_not_be_suspended()
    target = parse_user_id(request.user_id)
    await ctx.services.rooms.membership.ban(
        ctx.requester.user_id, request.room_id, target, reason=request.reason
    )


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/unban",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.BAD_STATE),
)
async def unban(ctx: Context, request: Ban) -> None:
    """Let a banned user come again."""
    ctx.requester.must_not_be_suspended()
    target = parse_user_id(request.user_id)
    await ctx.services.rooms.membership.unban(
        ctx.requester.user_id, request.room_id, target, reason=request.reason
    )
