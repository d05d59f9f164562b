"""`make_leave`, and `send_leave` as old servers call it (server-server API, Leaving Rooms)."""

from chamberlain.federation.inbound.resident import Made
from chamberlain.http.endpoint import Auth, Body, Context, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.types import JsonObject

ERRORS = (ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM)


class MakeLeave(Request):
    """Who wants to leave where."""

    room_id: Path[RoomID]
    user_id: Path[UserID]


class SendLeave(Request):
    """A leave."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    pdu: Body[JsonObject]


@endpoint(
    "GET",
    "/_matrix/federation/v1/make_leave/{room_id}/{user_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=ERRORS,
)
async def make_leave(ctx: Context, request: MakeLeave) -> Made:
    """Give the beginning of a leave."""
    return await ctx.services.federation.memberships.resident.make(
        ctx.origin, request.room_id, request.user_id, "leave"
    )


@endpoint(
    "PUT",
    "/_matrix/federation/v1/send_leave/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=ERRORS,
)
async def send_leave_v1(ctx: Context, request: SendLeave) -> list[JsonObject | int]:
    """Have a leave in the room; the empty answer stands behind the status that it has anyhow."""
    resident = ctx.services.federation.memberships.resident
    await resident.leave(ctx.origin, request.room_id, request.event_id, request.pdu)
    return [200, {}]
