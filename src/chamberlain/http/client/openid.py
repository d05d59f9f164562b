"""`POST /user/{userId}/openid/request_token` (client-server API, OpenID)."""

from chamberlain.accounts.openid import LIFETIME_SECONDS
from chamberlain.http.client.account_data import check_own
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, endpoint


class RequestToken(Request):
    """Who asks."""

    user_id: Path[str]


class OpenIdToken(Response):
    """Proof for a third party, which asks this server whose it is."""

    access_token: str
    token_type: str
    matrix_server_name: str
    expires_in: int


@endpoint("POST", "/_matrix/client/v3/user/{user_id}/openid/request_token", auth=Auth.ACCESS_TOKEN)
async def request_openid_token(ctx: Context, request: RequestToken) -> OpenIdToken:
    """Get proof for a third party of who one is."""
    check_own(ctx, request.user_id)
    token = await ctx.services.accounts.openid.issue(request.user_id)
    return OpenIdToken(token, "Bearer", ctx.services.config.server_name, LIFETIME_SECONDS)
