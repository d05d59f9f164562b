"""`PUT /rooms/{roomId}/send/{eventType}/{txnId}` (client-server API, Sending events to a room)."""

from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.pipeline.submit import Txn


class SendMessage(Request):
    """One message event for a room."""

    room_id: Path[RoomID]
    event_type: Path[str]
    txn_id: Path[str]
    content: Body[JsonObject]
    ts: Query[int | None] = None


class SendMessageAnew(Request):
    """One message event for a room, from a client that never repeats itself."""

    room_id: Path[RoomID]
    event_type: Path[str]
    content: Body[JsonObject]
    ts: Query[int | None] = None


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
    requester.must_not_be_suspended()
    event_id = await ctx.services.rooms.messages.send(
        requester.user_id,
        request.room_id,
        request.event_type,
        request.content,
        txn=Txn(
            requester.user_id, requester.txn_scope, f"{request.room_id}/{request.event_type}", request.txn_id
        ),
        ts=request.ts if requester.appservice_id is not None else None,
    )
    return Sent(event_id)


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/send/{event_type}",
    auth=Auth.GUEST_OK,
    limit=Limit.SEND,
    errors=(ErrCode.FORBIDDEN, ErrCode.TOO_LARGE, ErrCode.DUPLICATE_ANNOTATION),
)
async def send_message_anew(ctx: Context, request: SendMessageAnew) -> Sent:
    """Send a message event to a room, as clients from before transaction ids do."""
    requester = ctx.requester
    requester.must_not_be_suspended()
    ts = request.ts if requester.appservice_id is not None else None
    messages = ctx.services.rooms.messages
    return Sent(
        await messages.send(requester.user_id, request.room_id, request.event_type, request.content, ts=ts)
    )
