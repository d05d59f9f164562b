"""`POST /rooms/{roomId}/invite` (client-server API, Inviting)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID, parse_user_id


class InviteUser(Request):
    """Who is invited where, and why."""

    room_id: Path[RoomID]
    user_id: str
    reason: str | None = None


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/invite",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def invite_user(ctx: Context, request: InviteUser) -> None:
    """Invite a user to a room."""
    ctx.requester.must_not_be_suspended()
    target = parse_user_id(request.user_id)
    await ctx.services.rooms.membership.invite(
        ctx.requester.user_id, request.room_id, target, reason=request.reason
    )
