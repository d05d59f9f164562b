"""`POST /refresh` (client-server API, Refreshing access tokens)."""

from chamberlain.accounts.tokens import Refreshed
from chamberlain.http.endpoint import Auth, Context, Limit, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode


class Refresh(Request):
    """The refresh token to use."""

    refresh_token: str


@endpoint(
    "POST",
    "/_matrix/client/v3/refresh",
    auth=Auth.NONE,
    limit=Limit.READ,
    errors=(ErrCode.UNKNOWN_TOKEN, ErrCode.USER_LOCKED),
)
async def refresh(ctx: Context, request: Refresh) -> Refreshed:
    """Get new tokens in the place of old ones."""
    return await ctx.services.accounts.tokens.refresh(request.refresh_token)
