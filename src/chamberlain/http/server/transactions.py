"""`PUT /_matrix/federation/v1/send/{txnId}` (server-server API, Transactions)."""

from typing import Final

import msgspec

from chamberlain.http.endpoint import Auth, Body, Context, Limit, Path, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a transaction: 50 events of 65,536, and EDUs."""


class SendTransaction(Request):
    """PDUs and EDUs of another server."""

    txn_id: Path[str]
    transaction: Body[msgspec.Raw]


@endpoint(
    "PUT",
    "/_matrix/federation/v1/send/{txn_id}",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=(ErrCode.BAD_JSON, ErrCode.INVALID_PARAM, ErrCode.FORBIDDEN),
    max_body=MAX_BODY,
)
async def send_transaction(ctx: Context, request: SendTransaction) -> Raw:
    """Send messages representing live activity to this server."""
    receive = ctx.services.federation.inbound.transactions.receive
    return Raw(await receive(ctx.origin, request.txn_id, bytes(request.transaction)))
