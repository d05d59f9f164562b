"""`GET /_matrix/federation/v1/openid/userinfo`: whose an OpenID token is (server-server API, OpenID)."""

from chamberlain.http.endpoint import Auth, Context, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import UnknownToken


class ReadUserinfo(Request):
    """The token that a user showed to a third party."""

    access_token: Query[str]


class Userinfo(Response):
    """The user."""

    sub: str


@endpoint(
    "GET",
    "/_matrix/federation/v1/openid/userinfo",
    auth=Auth.NONE,
    errors=(ErrCode.UNKNOWN_TOKEN,),
)
async def read_userinfo(ctx: Context, request: ReadUserinfo) -> Userinfo:
    """Say which user an OpenID token is from."""
    user_id = await ctx.services.accounts.openid.find_user(request.access_token)
    if user_id is None:
        raise UnknownToken("The OpenID token is unknown or has expired")
    return Userinfo(user_id)
