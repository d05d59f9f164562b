"""`PUT /rooms/{roomId}/send/{eventType}/{txnId}` (client-server API, Sending events to a room)."""

from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.pipeline.waiting import Txn


class SendMessageAnew(Request):
    """One message event for a room, from a client that never repeats itself."""

    room_id: Path[RoomID]
    event_type: Path[str]
    content: Body[JsonObject]
    ts: Query[int | None] = None


class SendMessage(SendMessageAnew):
    """One message event for a room."""

    txn_id: Path[str]


class Sent(Response):
    """The event that was sent, now or by an earlier request with the same transaction id."""

    event_id: EventID


@endpoint(
    "PUT",
    "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
    auth=Auth.GUEST_OK,
    limit=Limit.SEND,
    errors=(ErrCode.FORBIDDEN, ErrCode.TOO_LARGE, ErrCode.DUPLICATE_ANNOTATION),
)
async def send_message(ctx: Context, request: SendMessage) -> Sent:
    """Send a message event to a room."""
    requester = ctx.requester
    path = f"{request.room_id}/{request.event_type}"
    return await _send(ctx, request, Txn(requester.user_id, requester.txn_scope, path, request.txn_id))


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/send/{event_type}",
    auth=Auth.GUEST_OK,
    limit=Limit.SEND,
    errors=(ErrCode.FORBIDDEN, ErrCode.TOO_LARGE, ErrCode.DUPLICATE_ANNOTATION),
)
async def send_message_anew(ctx: Context, request: SendMessageAnew) -> Sent:
    """Send a message event to a room, as clients from before transaction ids do."""
    return await _send(ctx, request, None)


async def _send(ctx: Context, request: SendMessageAnew, txn: Txn | None) -> Sent:
    requester = ctx.requester
    requester.must_not_be_suspended()
    event_id = await ctx.services.rooms.messages.send(
        requester.user_id,
        request.room_id,
        request.event_type,
        request.content,
        txn=txn,
        ts=request.ts if requester.appservice_id is not None else None,
    )
    return Sent(event_id)
