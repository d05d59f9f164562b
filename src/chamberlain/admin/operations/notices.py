"""Telling users something in the server's name."""

from typing import Annotated

import msgspec

from chamberlain.admin import guard
from chamberlain.admin.operation import SECRET, OperationContext, Plan, Route, Scope, operation
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.types import JsonObject


class SendNotice(msgspec.Struct, frozen=True, kw_only=True):
    """What is said to whom. The same `txn_id` of the same administrator sends nothing twice."""

    user_id: str
    # Notices carry passwords and codes often enough.
    content: Annotated[JsonObject, SECRET]
    type: str = "m.room.message"
    state_key: str | None = None
    txn_id: str | None = None


class NoticeSent(msgspec.Struct, frozen=True):
    """The event that the user got."""

    event_id: str


async def plan_send(ctx: OperationContext, request: SendNotice) -> Plan:
    """Refuses what the operation would refuse."""
    await _check(ctx, request)
    return Plan(users=[request.user_id])


@operation(
    "notices.send",
    Scope.NOTICES_WRITE,
    plan=plan_send,
    target="user_id",
    route=Route("POST", "/notices"),
    errors=(ErrCode.NOT_FOUND,),
)
async def send_notice(ctx: OperationContext, request: SendNotice) -> NoticeSent:
    """Send a notice to a user, in a room of its own that the user cannot talk in."""
    await _check(ctx, request)
    event_id = await ctx.parts.notices.send(
        ctx.actor.name,
        UserID(request.user_id),
        request.type,
        request.content,
        state_key=request.state_key,
        txn_id=request.txn_id,
    )
    return NoticeSent(event_id)


async def _check(ctx: OperationContext, request: SendNotice) -> None:
    ctx.parts.notices.check_enabled()
    await guard.find_active_target(ctx, request.user_id)
    if request.user_id == ctx.parts.notices.user_id:
        raise InvalidParam("The sender of notices gets none")
