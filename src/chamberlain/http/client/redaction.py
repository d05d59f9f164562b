"""`PUT /rooms/{roomId}/redact/{eventId}/{txnId}` (client-server API, Redactions)."""

from chamberlain.http.client.room_send import Sent
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.rooms.pipeline.waiting import Txn


class RedactEventAnew(Request):
    """Which event loses its content, and why, from a client that never repeats itself."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    reason: str | None = None


class RedactEvent(RedactEventAnew):
    """Which event loses its content, and why."""

    txn_id: Path[str]


@endpoint(
    "PUT",
    "/_matrix/client/v3/rooms/{room_id}/redact/{event_id}/{txn_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.SEND,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def redact_event(ctx: Context, request: RedactEvent) -> Sent:
    """Take the content of an event away from everyone."""
    requester = ctx.requester
    txn = Txn(requester.user_id, requester.txn_scope, f"{request.room_id}/redact", request.txn_id)
    return await _redact(ctx, request, txn)


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/redact/{event_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.SEND,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def redact_event_anew(ctx: Context, request: RedactEventAnew) -> Sent:
    """Take the content of an event away from everyone, as clients from before transaction ids do."""
    return await _redact(ctx, request, None)


async def _redact(ctx: Context, request: RedactEventAnew, txn: Txn | None) -> Sent:
    event_id = await ctx.services.rooms.messages.redact(
        ctx.requester.user_id,
        request.room_id,
        request.event_id,
        reason=request.reason,
        txn=txn,
        own_only=ctx.requester.is_suspended,
    )
    return Sent(event_id)
