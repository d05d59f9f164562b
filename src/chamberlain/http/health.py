"""`/health`: whether this process can serve requests, for load balancers and supervisors."""

import asyncio

from chamberlain.http.endpoint import Auth, Context, Limit, Raw, endpoint
from chamberlain.runtime.log import get_logger
from chamberlain.store.database import position_of

DATABASE_TIMEOUT_S = 5.0
"""How long the database may take for the smallest read."""

_log = get_logger("health")


@endpoint("GET", "/health", auth=Auth.NONE, limit=Limit.NONE)
@endpoint("HEAD", "/health", auth=Auth.NONE, limit=Limit.NONE)
async def get_health(ctx: Context) -> Raw:
    """Answer 200 `OK` when the database answers, and 503 when it does not or the server is stopping."""
    if ctx.services.shutdown.is_set():
        return Raw(b"stopping", "text/plain", 503)
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            await ctx.services.db.read(position_of)
    except Exception as failure:
        _log.error("the database does not answer", exc_info=failure)
        return Raw(b"the database does not answer", "text/plain", 503)
    return Raw(b"OK", "text/plain")
