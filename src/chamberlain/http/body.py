"""Reading the body of a request into memory, bounded in bytes and in time."""

import asyncio

from chamberlain.http.context import Context, Receive, too_large
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError

BODY_TIMEOUT_S = 60.0
"""How long a body may take to come in."""


class HungUp(Exception):
    """The client hung up before it could be answered."""


async def read_body(ctx: Context, receive: Receive, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        MatrixError: M_TOO_LARGE (413) above `max_bytes`, M_UNKNOWN (408) when it does not come in time.
        HungUp: the client left before its end.
    """
    declared = ctx.content_length
    if declared is not None and declared > max_bytes:
        raise too_large(max_bytes)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            message = await receive()
            body: bytes = message.get("body", b"")
            if message.get("more_body"):
                body = await _read_rest(receive, body, max_bytes)
    except TimeoutError:
        raise MatrixError(ErrCode.UNKNOWN, "The body took too long to come in", status=408) from None
    if message["type"] == "http.disconnect":
        raise HungUp
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    return body


async def _read_rest(receive: Receive, first: bytes, max_bytes: int) -> bytes:
    chunks = [first]
    size = len(first)
    more = True
    while more:
        if size > max_bytes:
            raise too_large(max_bytes)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HungUp
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)
