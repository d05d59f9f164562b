"""From a request to an operation: what the façades of administration share."""

from typing import TypeVar

import msgspec

from chamberlain.admin.actor import actor_of
from chamberlain.admin.operation import Operation
from chamberlain.http.context import Context

R = TypeVar("R", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)

NO_STORE = (("cache-control", "no-store"),)


async def run(
    ctx: Context, operation: Operation[R, A], request: R, *, facade: str, reason: str | None = None
) -> A:
    """Run an operation for whoever asks; `facade` is what the audit log calls the API that was used."""
    ctx.is_audited = True
    actor = actor_of(ctx.found_requester, ctx.client_ip, ctx.user_agent)
    return await ctx.services.admin.runner.run(operation, actor, request, facade=facade, reason=reason)
