"""`GET /account/whoami` (client-server API, Current account information)."""

from chamberlain.http.endpoint import Auth, Context, Response, endpoint


class Whoami(Response):
    """The account and the device behind a token."""

    user_id: str
    device_id: str | None = None
    is_guest: bool = False


@endpoint("GET", "/_matrix/client/v3/account/whoami", auth=Auth.GUEST_OK)
async def whoami(ctx: Context) -> Whoami:
    """Say whose token this is."""
    requester = ctx.requester
    return Whoami(requester.user_id, requester.device_id, requester.is_guest)
