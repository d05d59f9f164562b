"""`POST /rooms/{roomId}/receipt/{receiptType}/{eventId}` (client-server API, Receipts)."""

from typing import Any

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.ids import EventID, RoomID


class PostReceipt(Request):
    """How far the user has read, in the room or in one thread."""

    room_id: Path[RoomID]
    receipt_type: Path[str]
    event_id: Path[EventID]
    thread_id: Any = None


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def post_receipt(ctx: Context, request: PostReceipt) -> None:
    """Mark how far one has read."""
    thread = request.thread_id
    if thread is not None and not isinstance(thread, str):
        raise InvalidParam("`thread_id` is a string")
    await ctx.services.rooms.receipts.put(
        ctx.requester.user_id, request.room_id, request.receipt_type, request.event_id, thread=thread
    )
