"""`POST /account/password` (client-server API, Password management)."""

from typing import Any

from chamberlain.http.endpoint import Auth, Context, Limit, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode


class ChangePassword(Request):
    """The new password, and the proof that it is the user who asks."""

    new_password: str
    logout_devices: bool = True
    auth: Any = None


@endpoint(
    "POST",
    "/_matrix/client/v3/account/password",
    auth=Auth.OPTIONAL,
    limit=Limit.LOGIN,
    uia=True,
    errors=(ErrCode.WEAK_PASSWORD, ErrCode.UNAUTHORIZED),
)
async def change_password(ctx: Context, request: ChangePassword) -> None:
    """Change one's password; by default every other device is logged out."""
    accounts, requester = ctx.services.accounts, ctx.requester
    accounts.passwords.check_policy(request.new_password)
    await accounts.uia.confirm(requester, ctx.method, ctx.path, request.auth)
    await accounts.passwords.set(
        requester.user_id,
        request.new_password,
        logout=request.logout_devices,
        but_device=requester.device_id,
    )
