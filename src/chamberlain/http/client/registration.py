"""`POST /register`, `GET /register/available` (client-server API, Account registration)."""

from typing import Any, Literal

from chamberlain.accounts.registration import Registered
from chamberlain.accounts.sign_up import Wanted
from chamberlain.accounts.tokens import NewDevice
from chamberlain.http.endpoint import Auth, Context, Limit, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode


class Register(Request):
    """An account that somebody wants."""

    kind: Query[Literal["user", "guest"]] = "user"
    auth: Any = None
    username: str | None = None
    password: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    refresh_token: bool = False
    guest_access_token: str | None = None

    def device(self) -> NewDevice | None:
        """The device to log in, if any."""
        if self.inhibit_login:
            return None
        return NewDevice(
            device_id=self.device_id,
            display_name=self.initial_device_display_name,
            refreshable=self.refresh_token,
        )


class RegisterAnswer(Response):
    """The account, and its login unless that was not wanted."""

    user_id: str
    home_server: str
    access_token: str | None = None
    device_id: str | None = None
    refresh_token: str | None = None
    expires_in_ms: int | None = None


@endpoint(
    "POST",
    "/_matrix/client/v3/register",
    auth=Auth.NONE,
    limit=Limit.REGISTER,
    uia=True,
    errors=(
        ErrCode.EXCLUSIVE,
        ErrCode.GUEST_ACCESS_FORBIDDEN,
        ErrCode.INVALID_USERNAME,
        ErrCode.UNAUTHORIZED,
        ErrCode.USER_IN_USE,
        ErrCode.WEAK_PASSWORD,
    ),
)
async def register(ctx: Context, request: Register) -> RegisterAnswer:
    """Make an account for oneself, or get a guest account."""
    sign_up = ctx.services.accounts.sign_up
    if request.kind == "guest":
        return _answer(await sign_up.sign_up_guest(request.initial_device_display_name))
    wanted = Wanted(
        username=request.username,
        password=request.password,
        device=request.device(),
        guest_access_token=request.guest_access_token,
    )
    return _answer(await sign_up.sign_up(wanted, request.auth, ctx.method, ctx.path))


def _answer(made: Registered) -> RegisterAnswer:
    answer = RegisterAnswer(user_id=made.user_id, home_server=made.user_id.partition(":")[2])
    if made.login is not None:
        answer.access_token = made.login.access_token
        answer.device_id = made.login.device_id
        answer.refresh_token = made.login.refresh_token
        answer.expires_in_ms = made.login.expires_in_ms
    return answer


class CheckAvailable(Request):
    """A user name that somebody might want."""

    username: Query[str]


class Available(Response):
    """It is free."""

    available: bool


@endpoint(
    "GET",
    "/_matrix/client/v3/register/available",
    auth=Auth.NONE,
    limit=Limit.REGISTER,
    errors=(ErrCode.EXCLUSIVE, ErrCode.INVALID_USERNAME, ErrCode.USER_IN_USE),
)
async def check_available(ctx: Context, request: CheckAvailable) -> Available:
    """Say whether a user name could be registered now."""
    accounts = ctx.services.accounts
    accounts.sign_up.check_open()
    await accounts.registration.check_available(request.username.lower())
    return Available(True)
