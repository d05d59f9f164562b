"""Operations on the keys that the server signs with."""

import msgspec

from chamberlain.admin.operation import OperationContext, Plan, Route, Scope, operation
from chamberlain.federation.key_rotation import GRACE_MS, Rotated
from chamberlain.matrix.errcodes import ErrCode


class RotateKey(msgspec.Struct, frozen=True):
    """Nothing to say."""


async def plan_rotate(ctx: OperationContext, request: RotateKey) -> Plan:
    """Refuses what the operation would refuse."""
    ctx.parts.remotes.key_rotation.check()
    old = ", ".join(key.key_id for key in ctx.parts.remotes.own_keys.active)
    return Plan(
        cannot_be_undone=[f"Nothing is signed with {old} any more; what it signed stays valid."],
        note=f"The old key would be good for another {GRACE_MS // 1000} seconds.",
    )


@operation(
    "keys.rotate",
    Scope.SERVER_WRITE,
    plan=plan_rotate,
    route=Route("POST", "/keys/rotate"),
    errors=(ErrCode.INVALID_PARAM,),
    everywhere=True,
)
async def rotate(ctx: OperationContext, request: RotateKey) -> Rotated:
    """Sign with a new key from now on. The old one is published as such, so that what it signed stays valid.

    The file `signing.key` has the new key then, and `signing.key.old` beside it the public half of the old one. It is
    refused where several machines sign for the server.
    """
    return await ctx.parts.remotes.key_rotation.rotate()
