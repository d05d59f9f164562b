"""`GET /sync` (client-server API, Syncing)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.sync.present import State
from chamberlain.sync.request import SyncRequest


class Sync(Request):
    """From where on, what of it, and how long to wait (ms)."""

    filter: Query[str | None] = None
    since: Query[str | None] = None
    full_state: Query[bool] = False
    set_presence: Query[State] = "online"
    timeout: Query[int] = 0
    use_state_after: Query[bool] = False


@endpoint(
    "GET",
    "/_matrix/client/v3/sync",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.UNKNOWN_TOKEN),
    long_poll=True,
)
async def sync(ctx: Context, request: Sync) -> Raw:
    """Get what is new for the requester's device, and wait for it where nothing is."""
    service = ctx.services.sync
    wanted = SyncRequest(
        requester=ctx.requester,
        filter=await service.filters.get(ctx.requester.user_id, request.filter),
        since=request.since or None,
        full_state=request.full_state,
        use_state_after=request.use_state_after,
        timeout_ms=request.timeout,
        set_presence=request.set_presence,
    )
    return Raw(await service.syncing.sync(wanted))
