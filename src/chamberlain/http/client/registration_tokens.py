"""`GET /register/m.login.registration_token/validity` (client-server API, Token-authenticated registration)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Query, Request, Response, endpoint


class CheckToken(Request):
    """A registration token."""

    token: Query[str]


class Validity(Response):
    """Whether an account can be made with it."""

    valid: bool


@endpoint(
    "GET",
    "/_matrix/client/v1/register/m.login.registration_token/validity",
    auth=Auth.NONE,
    limit=Limit.REGISTER,
)
async def check_token(ctx: Context, request: CheckToken) -> Validity:
    """Say whether a registration token is good now."""
    accounts = ctx.services.accounts
    accounts.sign_up.check_open()
    return Validity(await accounts.registration_tokens.is_usable(request.token))
