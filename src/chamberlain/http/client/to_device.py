"""`PUT /sendToDevice/{eventType}/{txnId}` (client-server API, Send-to-device messaging)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode


class SendToDevice(Request):
    """A content for each user and device, or `*` for all devices of the user."""

    event_type: Path[str]
    txn_id: Path[str]
    messages: dict[str, dict[str, msgspec.Raw]]


@endpoint(
    "PUT",
    "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
    auth=Auth.GUEST_OK,
    limit=Limit.SEND,
    errors=(ErrCode.INVALID_PARAM, ErrCode.BAD_JSON),
)
async def send_to_device(ctx: Context, request: SendToDevice) -> None:
    """Send an event to devices."""
    requester = ctx.requester
    await ctx.services.devices.to_device.send(
        requester.user_id, requester.txn_scope, request.event_type, request.txn_id, request.messages
    )
