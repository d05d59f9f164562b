"""`POST /login/get_token` (client-server API, Token-based login)."""

from typing import Any

from chamberlain.accounts.tokens import LOGIN_TOKEN_MS
from chamberlain.http.endpoint import Auth, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode


class GetLoginToken(Request):
    """The proof that it is the user who asks."""

    auth: Any = None


class LoginToken(Response):
    """A token that logs in one more device."""

    login_token: str
    expires_in_ms: int


@endpoint(
    "POST",
    "/_matrix/client/v1/login/get_token",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.LOGIN,
    uia=True,
    errors=(ErrCode.UNAUTHORIZED,),
)
async def get_login_token(ctx: Context, request: GetLoginToken) -> LoginToken:
    """Get a token with which another device can log in to this account, once."""
    accounts = ctx.services.accounts
    await accounts.uia.confirm(ctx.requester, ctx.method, ctx.path, request.auth)
    return LoginToken(await accounts.tokens.make_login_token(ctx.requester.user_id), LOGIN_TOKEN_MS)
