"""`make_knock` and `send_knock` (server-server API, Knocking upon a room)."""

from chamberlain.federation.inbound.resident import Made
from chamberlain.http.answers import Raw
from chamberlain.http.endpoint import Auth, Body, Context, Path, Query, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.types import JsonObject


class MakeKnock(Request):
    """Who wants to knock where, and the room versions that their server knows."""

    room_id: Path[RoomID]
    user_id: Path[UserID]
    ver: Query[list[str]]


class SendKnock(Request):
    """A knock."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    pdu: Body[JsonObject]


@endpoint(
    "GET",
    "/_matrix/federation/v1/make_knock/{room_id}/{user_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(
        ErrCode.FORBIDDEN,
        ErrCode.NOT_FOUND,
        ErrCode.INVALID_PARAM,
        ErrCode.INCOMPATIBLE_ROOM_VERSION,
    ),
)
async def make_knock(ctx: Context, request: MakeKnock) -> Made:
    """Give the beginning of a knock."""
    resident = ctx.services.federation.memberships.resident
    return await resident.make(ctx.origin, request.room_id, request.user_id, "knock", request.ver)


@endpoint(
    "PUT",
    "/_matrix/federation/v1/send_knock/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def send_knock(ctx: Context, request: SendKnock) -> Raw:
    """Have a knock in the room, and say what may be shown of the room."""
    resident = ctx.services.federation.memberships.resident
    shown = await resident.knock(ctx.origin, request.room_id, request.event_id, request.pdu)
    return Raw(b'{"knock_room_state":[%b]}' % b",".join(event.pdu for event in shown))
