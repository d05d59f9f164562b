"""Operations on the audit log: list, verify, shred."""

from typing import Annotated

import msgspec

from chamberlain.admin.audit import Verification
from chamberlain.admin.operation import SECRET, OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.paging import SliceSize
from chamberlain.store import audit
from chamberlain.store.audit import Call


class ListCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Which calls, the newest first, with numbers below `before`; times in ms."""

    operation: str | None = None
    actor: str | None = None
    """Who called: a user ID, `local socket` or `shared secret`."""
    target: str | None = None
    """The user or room that the call was about."""
    outcome: str | None = None
    """`ok` or an errcode."""
    since: int = 0
    until: int = 2**62
    before: int = 2**62
    limit: SliceSize = 100


class Calls(msgspec.Struct, frozen=True):
    """A page of calls."""

    calls: list[Call]


@operation("audit.list", Scope.AUDIT_READ, private=True, route=Route("GET", "/audit"))
async def list_calls(ctx: OperationContext, request: ListCalls) -> Calls:
    """List what administrators did, and what came of it."""
    return Calls(await ctx.parts.db.snapshot(audit.list_calls, **msgspec.structs.asdict(request)))


class VerifyLog(msgspec.Struct, frozen=True):
    """Nothing to say."""


@operation("audit.verify", Scope.AUDIT_READ, route=Route("GET", "/audit/verify"))
async def verify_log(ctx: OperationContext, request: VerifyLog) -> Verification:
    """Look at every record of the audit log for changes made behind the server's back."""
    return await ctx.parts.audit.verify()


class Shred(msgspec.Struct, frozen=True):
    """Whose traces; the log does not keep that either."""

    user_id: Annotated[str, SECRET]


class Shredded(msgspec.Struct, frozen=True):
    """How many fields were deleted."""

    fields: int


async def plan_shred(ctx: OperationContext, request: Shred) -> Plan:
    """What would be deleted."""
    return Plan(
        users=[request.user_id],
        cannot_be_undone=[
            "What the audit log says of the user in clear text is deleted; its chain stays whole."
        ],
    )


@operation("audit.shred", Scope.AUDIT_WRITE, plan=plan_shred, route=Route("POST", "/audit/shred"))
async def shred(ctx: OperationContext, request: Shred) -> Shredded:
    """Delete what the audit log says of a user in clear text. That it was done is kept, but not for whom."""
    return Shredded(await ctx.parts.audit.shred(request.user_id))
