"""Administration calls that were refused before their operation began stand in the audit log too."""

from chamberlain.admin.actor import actor_of
from chamberlain.http.context import Context
from chamberlain.http.endpoint import Endpoint, Limit, is_admin
from chamberlain.matrix.errors import LimitExceeded, MatrixError


async def note_refusal(ctx: Context, endpoint: Endpoint, error: Exception) -> None:
    """Write who tried what and why not, unless an operation did, nobody is known, or it comes too often."""
    requester = ctx.found_requester
    if requester is None or ctx.is_audited or not is_admin(endpoint) or not isinstance(error, MatrixError):
        return
    try:
        ctx.services.limits.check(Limit.ADMIN, f"refused {requester.user_id}")
    except LimitExceeded:
        return
    actor = actor_of(requester, ctx.client_ip, ctx.user_agent)
    await ctx.services.admin.runner.note_refusal(endpoint.name, actor, error)
