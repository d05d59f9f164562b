"""What the specification has for administrators (client-server API, Server Administration, Account moderation)."""

from chamberlain.admin.operations import moderation
from chamberlain.admin.operations.moderation import WhoisAnswer
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode

FACADE = "spec"


class Whois(Request):
    """Whose connections."""

    user_id: Path[str]


@endpoint(
    "GET",
    "/_matrix/client/v3/admin/whois/{user_id}",
    aliases=(
        "/_synapse/admin/v1/whois/{user_id}",
        "/_matrix/client/api/v1/admin/whois/{user_id}",
        "/_matrix/client/unstable/admin/whois/{user_id}",
    ),
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.NOT_FOUND,),
)
async def whois(ctx: Context, request: Whois) -> WhoisAnswer:
    """Tell from which addresses and with which clients an account was used lately, one's own or, as admin, any."""
    return await run(ctx, moderation.whois, moderation.Whois(request.user_id), facade=FACADE)


class Target(Request):
    """Whose account."""

    user_id: Path[str]


class Suspended(Response):
    """Whether the account is suspended."""

    suspended: bool


class Locked(Response):
    """Whether the account is locked."""

    locked: bool


@endpoint("GET", "/_matrix/client/v1/admin/suspend/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_suspended(ctx: Context, request: Target) -> Suspended:
    """Tell whether an account is suspended."""
    wanted = moderation.GetModeration(request.user_id, spare_admins=True)
    return Suspended((await run(ctx, moderation.get_moderation, wanted, facade=FACADE)).suspended)


class SetSuspended(Request):
    """Whether the account is to be suspended."""

    user_id: Path[str]
    suspended: bool


@endpoint("PUT", "/_matrix/client/v1/admin/suspend/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def set_suspended(ctx: Context, request: SetSuspended) -> Suspended:
    """Suspend an account that is no administrator's, or lift that."""
    wanted = moderation.SetSuspended(request.user_id, request.suspended, spare_admins=True)
    await run(ctx, moderation.set_suspended, wanted, facade=FACADE)
    return Suspended(request.suspended)


@endpoint("GET", "/_matrix/client/v1/admin/lock/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_locked(ctx: Context, request: Target) -> Locked:
    """Tell whether an account is locked."""
    wanted = moderation.GetModeration(request.user_id, spare_admins=True)
    return Locked((await run(ctx, moderation.get_moderation, wanted, facade=FACADE)).locked)


class SetLocked(Request):
    """Whether the account is to be locked."""

    user_id: Path[str]
    locked: bool


@endpoint("PUT", "/_matrix/client/v1/admin/lock/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def set_locked(ctx: Context, request: SetLocked) -> Locked:
    """Lock an account that is no administrator's, or unlock it."""
    wanted = moderation.SetLocked(request.user_id, request.locked, spare_admins=True)
    await run(ctx, moderation.set_locked, wanted, facade=FACADE)
    return Locked(request.locked)
