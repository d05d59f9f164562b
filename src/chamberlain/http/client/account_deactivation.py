"""`POST /account/deactivate` (client-server API, Account deactivation)."""

from typing import Any, Literal

from chamberlain.http.endpoint import Auth, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode


class DeactivateAccount(Request):
    """Whether to forget what can be forgotten, and the proof that it is the user who asks."""

    erase: bool = False
    id_server: str | None = None
    auth: Any = None


class Deactivated(Response):
    """Whether identity servers forgot the account's identifiers; this server binds none."""

    id_server_unbind_result: Literal["success", "no-support"]


@endpoint(
    "POST",
    "/_matrix/client/v3/account/deactivate",
    auth=Auth.OPTIONAL,
    limit=Limit.LOGIN,
    uia=True,
    errors=(ErrCode.UNAUTHORIZED,),
)
async def deactivate_account(ctx: Context, request: DeactivateAccount) -> Deactivated:
    """End one's account for good."""
    accounts, requester = ctx.services.accounts, ctx.requester
    await accounts.uia.confirm(requester, ctx.method, ctx.path, request.auth)
    had_identifiers = bool(await accounts.threepids.list_of(requester.user_id))
    await ctx.services.admin.deactivation.deactivate_account(requester.user_id, erase=request.erase)
    return Deactivated("no-support" if had_identifiers else "success")
