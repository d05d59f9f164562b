"""`/account/3pid…` and the requests for validation tokens (client-server API, Account administrative contact).

This server has no identity server that it trusts, and it validates no addresses: it lists and removes them.
"""

from typing import Any, Literal

from chamberlain.http.endpoint import Auth, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError
from chamberlain.matrix.types import JsonObject
from chamberlain.store.threepids import Threepid


class Identifiers(Response):
    """The addresses of an account."""

    threepids: list[Threepid]


@endpoint("GET", "/_matrix/client/v3/account/3pid", auth=Auth.ACCESS_TOKEN)
async def list_identifiers(ctx: Context) -> Identifiers:
    """List the e-mail addresses and phone numbers of one's account."""
    return Identifiers(await ctx.services.accounts.threepids.list_of(ctx.requester.user_id))


class Credentials(Request):
    """A validation session of an identity server."""

    three_pid_creds: JsonObject


@endpoint(
    "POST", "/_matrix/client/v3/account/3pid", auth=Auth.ACCESS_TOKEN, errors=(ErrCode.THREEPID_AUTH_FAILED,)
)
async def add_bound_identifier(ctx: Context, request: Credentials) -> None:
    """Add an address that an identity server has validated; none is trusted to do so."""
    raise MatrixError(ErrCode.THREEPID_AUTH_FAILED, "No identity server is trusted", status=403)


class AddIdentifier(Request):
    """A validation session of this server."""

    client_secret: str
    sid: str
    auth: Any = None


@endpoint(
    "POST",
    "/_matrix/client/v3/account/3pid/add",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.LOGIN,
    uia=True,
    errors=(ErrCode.THREEPID_AUTH_FAILED, ErrCode.UNAUTHORIZED),
)
async def add_identifier(ctx: Context, request: AddIdentifier) -> None:
    """Add an address that was validated with this server."""
    await ctx.services.accounts.uia.confirm(ctx.requester, ctx.method, ctx.path, request.auth)
    raise MatrixError(ErrCode.THREEPID_AUTH_FAILED, "There is no such validated session")


class BindIdentifier(Request):
    """A validation session of an identity server, and how to speak to it."""

    client_secret: str
    id_server: str
    id_access_token: str
    sid: str


@endpoint(
    "POST",
    "/_matrix/client/v3/account/3pid/bind",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.SERVER_NOT_TRUSTED,),
)
async def bind_identifier(ctx: Context, request: BindIdentifier) -> None:
    """Publish an address on an identity server; none is trusted."""
    raise MatrixError(ErrCode.SERVER_NOT_TRUSTED, "This identity server is not trusted")


class RemoveIdentifier(Request):
    """An address to remove."""

    medium: Literal["email", "msisdn"]
    address: str
    id_server: str | None = None


class Unbound(Response):
    """Whether an identity server forgot the address; this server knows of none that has it."""

    id_server_unbind_result: Literal["no-support"]


@endpoint(
    "POST",
    "/_matrix/client/v3/account/3pid/delete",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.USER_SUSPENDED,),
)
async def remove_identifier(ctx: Context, request: RemoveIdentifier) -> Unbound:
    """Remove an address from one's account."""
    if ctx.requester.is_suspended:
        raise MatrixError(ErrCode.USER_SUSPENDED, "You cannot remove contacts while suspended")
    await ctx.services.accounts.threepids.remove(ctx.requester.user_id, request.medium, request.address)
    return Unbound("no-support")


@endpoint("POST", "/_matrix/client/v3/account/3pid/unbind", auth=Auth.ACCESS_TOKEN)
async def unbind_identifier(ctx: Context, request: RemoveIdentifier) -> Unbound:
    """Remove an address from an identity server; it stays with the account."""
    return Unbound("no-support")


class RequestEmailToken(Request):
    """An e-mail address to validate."""

    client_secret: str
    email: str
    send_attempt: int
    next_link: str | None = None


class RequestMsisdnToken(Request):
    """A phone number to validate."""

    client_secret: str
    country: str
    phone_number: str
    send_attempt: int
    next_link: str | None = None


@endpoint(
    "POST",
    "/_matrix/client/v3/account/3pid/email/requestToken",
    aliases=(
        "/_matrix/client/v3/register/email/requestToken",
        "/_matrix/client/v3/account/password/email/requestToken",
    ),
    auth=Auth.NONE,
    limit=Limit.LOGIN,
    errors=(ErrCode.THREEPID_MEDIUM_NOT_SUPPORTED,),
)
async def request_email_token(ctx: Context, request: RequestEmailToken) -> None:
    """Have an e-mail address validated; this server sends no e-mail for that."""
    if "@" not in request.email:
        raise InvalidParam("Not an e-mail address")
    raise MatrixError(ErrCode.THREEPID_MEDIUM_NOT_SUPPORTED, "This server does not validate e-mail addresses")


@endpoint(
    "POST",
    "/_matrix/client/v3/account/3pid/msisdn/requestToken",
    aliases=(
        "/_matrix/client/v3/register/msisdn/requestToken",
        "/_matrix/client/v3/account/password/msisdn/requestToken",
    ),
    auth=Auth.NONE,
    limit=Limit.LOGIN,
    errors=(ErrCode.THREEPID_MEDIUM_NOT_SUPPORTED,),
)
async def request_msisdn_token(ctx: Context, request: RequestMsisdnToken) -> None:
    """Have a phone number validated; this server sends no text messages."""
    raise MatrixError(ErrCode.THREEPID_MEDIUM_NOT_SUPPORTED, "This server does not validate phone numbers")
