"""`GET` and `POST /login` (client-server API, Login)."""

from typing import Any

from chamberlain.accounts.login import Attempt
from chamberlain.accounts.tokens import NewDevice
from chamberlain.http.endpoint import Auth, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject


class Flows(Response):
    """The ways to log in."""

    flows: list[JsonObject]


@endpoint("GET", "/_matrix/client/v3/login", auth=Auth.NONE)
async def get_login_flows(ctx: Context) -> Flows:
    """List the ways to log in."""
    return Flows(ctx.services.accounts.login.flows())


class LogIn(Request):
    """Who somebody says they are, the proof, and the device to log in."""

    type: str
    identifier: Any = None
    user: str | None = None
    medium: str | None = None
    address: str | None = None
    password: str | None = None
    token: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool = False

    def attempt(self) -> Attempt:
        """The same for the service."""
        return Attempt(
            type=self.type,
            identifier=self.identifier,
            user=self.user,
            medium=self.medium,
            address=self.address,
            password=self.password,
            token=self.token,
            device=NewDevice(
                device_id=self.device_id,
                display_name=self.initial_device_display_name,
                refreshable=self.refresh_token,
            ),
        )


class LoggedIn(Response):
    """The tokens of the device."""

    user_id: str
    access_token: str
    device_id: str
    home_server: str
    refresh_token: str | None = None
    expires_in_ms: int | None = None
    well_known: JsonObject | None = None


@endpoint(
    "POST",
    "/_matrix/client/v3/login",
    auth=Auth.NONE,
    limit=Limit.LOGIN,
    errors=(ErrCode.USER_DEACTIVATED, ErrCode.USER_LOCKED, ErrCode.UNKNOWN),
)
async def log_in(ctx: Context, request: LogIn) -> LoggedIn:
    """Log a device in."""
    limits, config = ctx.services.limits, ctx.services.config
    login = await ctx.services.accounts.login.log_in(
        request.attempt(), lambda user_id: limits.check(Limit.LOGIN, user_id)
    )
    return LoggedIn(
        login.user_id,
        login.access_token,
        login.device_id,
        config.server_name,
        login.refresh_token,
        login.expires_in_ms,
        {"m.homeserver": {"base_url": config.public_url}} if config.base_url else None,
    )
