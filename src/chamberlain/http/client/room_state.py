"""`PUT /rooms/{roomId}/state/{eventType}/{stateKey}` (client-server API, Sending events to a room)."""

from chamberlain.http.client.room_send import Sent
from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Query, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.matrix.types import JsonObject


class SetRoomState(Request):
    """One piece of state."""

    room_id: Path[RoomID]
    event_type: Path[str]
    state_key: Path[str] = ""
    content: Body[JsonObject]
    ts: Query[int | None] = None


@endpoint(
    "PUT",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    auth=Auth.GUEST_OK,
    limit=Limit.SEND,
    aliases=("/_matrix/client/v3/rooms/{room_id}/state/{event_type}",),
    errors=(ErrCode.FORBIDDEN, ErrCode.BAD_ALIAS, ErrCode.TOO_LARGE, ErrCode.GUEST_ACCESS_FORBIDDEN),
)
async def set_room_state_with_key(ctx: Context, request: SetRoomState) -> Sent:
    """Set a piece of a room's state."""
    requester = ctx.requester
    requester.must_not_be_suspended()
    if requester.is_guest and request.event_type == "m.room.member":
        await ctx.services.rooms.guests.check_admits(requester.user_id, request.room_id)
    event_id = await ctx.services.rooms.messages.set_state(
        requester.user_id,
        request.room_id,
        request.event_type,
        request.state_key,
        request.content,
        ts=request.ts if requester.appservice_id is not None else None,
    )
    return Sent(event_id)
