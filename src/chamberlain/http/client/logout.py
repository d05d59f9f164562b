"""`POST /logout`, `POST /logout/all` (client-server API, Login)."""

from chamberlain.http.endpoint import Auth, Context, Limit, endpoint


@endpoint("POST", "/_matrix/client/v3/logout", auth=Auth.GUEST_OK, limit=Limit.WRITE, allow_locked=True)
async def log_out(ctx: Context) -> None:
    """Log this device out and delete it."""
    await ctx.services.accounts.tokens.log_out(ctx.requester)


@endpoint("POST", "/_matrix/client/v3/logout/all", auth=Auth.GUEST_OK, limit=Limit.WRITE, allow_locked=True)
async def log_out_all(ctx: Context) -> None:
    """Log every device of the account out and delete them."""
    await ctx.services.accounts.tokens.log_out_all(ctx.requester.user_id)
