"""Synapse's paths for server notices."""

from chamberlain.admin.operations import notices
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject

FACADE = "synapse"


class SendNotice(Request):
    """What is said to whom."""

    user_id: str
    content: JsonObject
    type: str = "m.room.message"
    state_key: str | None = None


class SendNoticeOnce(SendNotice):
    """A notice that is sent once for each transaction ID of an administrator."""

    txn_id: Path[str]


class NoticeSent(Response):
    """The event that the user got."""

    event_id: str


@endpoint("POST", "/_synapse/admin/v1/send_server_notice", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def send_notice(ctx: Context, request: SendNotice) -> NoticeSent:
    """Send a notice to a user."""
    return await _send(ctx, request, None)


@endpoint(
    "PUT", "/_synapse/admin/v1/send_server_notice/{txn_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def send_notice_once(ctx: Context, request: SendNoticeOnce) -> NoticeSent:
    """Send a notice to a user, unless this transaction ID has sent one already."""
    return await _send(ctx, request, request.txn_id)


async def _send(ctx: Context, request: SendNotice, txn_id: str | None) -> NoticeSent:
    wanted = notices.SendNotice(
        user_id=request.user_id,
        content=request.content,
        type=request.type,
        state_key=request.state_key,
        txn_id=txn_id,
    )
    sent = await run(ctx, notices.send_notice, wanted, facade=FACADE)
    return NoticeSent(sent.event_id)
