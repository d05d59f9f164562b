"""Synapse's paths for accounts, with those of 2017 that lie below `/_matrix/client/r0/admin`."""

from typing import Any, Literal

import msgspec

from chamberlain.admin.operations import accounts, moderation
from chamberlain.admin.operations.accounts import SearchText, UserOrder
from chamberlain.admin.operations.paging import Offset
from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MissingParam
from chamberlain.store.admin_lists import UserRow

FACADE = "synapse"
MOST_LISTED = 10_000


class ListUsers(Request):
    """Filters, order and page of a list of accounts."""

    user_id: Query[SearchText | None] = None
    name: Query[SearchText | None] = None
    guests: Query[bool] = True
    admins: Query[bool | None] = None
    deactivated: Query[bool | None] = None
    locked: Query[bool] = False
    not_user_type: Query[list[str]] = []
    order_by: Query[UserOrder] = "name"
    dir: Query[Literal["f", "b"]] = "f"
    start: Query[Offset] = msgspec.field(name="from", default=0)
    limit: Query[Offset] = 100


class ListedUser(msgspec.Struct):
    """An account; times are in ms."""

    name: str
    is_guest: bool
    admin: bool
    user_type: str | None
    deactivated: bool
    erased: bool
    shadow_banned: bool
    displayname: str | None
    avatar_url: str | None
    creation_ts: int
    last_seen_ts: int | None
    locked: bool


class UserList(Response):
    """A page of accounts; `next_token` is where the next one begins."""

    users: list[ListedUser]
    total: int
    next_token: str | None = None


@endpoint("GET", "/_synapse/admin/v2/users", auth=Auth.ADMIN)
async def list_users(ctx: Context, request: ListUsers) -> UserList:
    """List accounts, those that are deactivated only when asked for."""
    return await _list(ctx, request, deactivated=None if request.deactivated else False)


@endpoint("GET", "/_synapse/admin/v3/users", auth=Auth.ADMIN)
async def list_users_v3(ctx: Context, request: ListUsers) -> UserList:
    """List accounts; `deactivated` says which, and without it both."""
    return await _list(ctx, request, deactivated=request.deactivated)


async def _list(ctx: Context, request: ListUsers, *, deactivated: bool | None) -> UserList:
    wanted = accounts.ListUsers(
        user_id=None if request.name else request.user_id,
        name=request.name,
        guests=None if request.guests else False,
        admins=request.admins,
        deactivated=deactivated,
        locked=None if request.locked else False,
        not_user_type=request.not_user_type,
        order_by=request.order_by,
        dir=request.dir,
        from_=request.start,
        limit=min(request.limit, MOST_LISTED),
    )
    page = await run(ctx, accounts.list_users, wanted, facade=FACADE)
    end = request.start + len(page.users)
    more = bool(page.users) and end < page.total
    return UserList([_listed(user) for user in page.users], page.total, str(end) if more else None)


def _listed(user: UserRow) -> ListedUser:
    return ListedUser(
        user.user_id,
        user.is_guest,
        user.is_admin,
        user.user_type,
        user.deactivated,
        user.erased,
        user.shadow_banned,
        user.display_name,
        user.avatar_url,
        user.created_at,
        user.last_seen,
        user.locked,
    )


class OneUser(Request):
    """Which account."""

    user_id: Path[str]


@endpoint("GET", "/_synapse/admin/v2/users/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_user(ctx: Context, request: OneUser) -> dict[str, Any]:
    """Look at an account. `creation_ts` is in seconds here, as Synapse has it."""
    found = await run(ctx, accounts.get_user, accounts.GetUser(request.user_id), facade=FACADE)
    return msgspec.structs.asdict(_listed(found.user)) | {
        "creation_ts": found.user.created_at // 1000,
        "suspended": found.user.suspended,
        "appservice_id": found.appservice_id,
        "threepids": [msgspec.to_builtins(threepid) for threepid in found.threepids],
        "external_ids": [],
        "consent_server_notice_sent": None,
        "consent_version": None,
        "consent_ts": None,
    }


class IsAdmin(Response):
    """Whether the user is an administrator."""

    admin: bool


@endpoint("GET", "/_synapse/admin/v1/users/{user_id}/admin", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_admin(ctx: Context, request: OneUser) -> IsAdmin:
    """Tell whether a user is an administrator."""
    found = await run(ctx, accounts.get_user, accounts.GetUser(request.user_id), facade=FACADE)
    return IsAdmin(found.user.is_admin)


class SetAdmin(Request):
    """Whether the user is to be an administrator."""

    user_id: Path[str]
    admin: bool


@endpoint("PUT", "/_synapse/admin/v1/users/{user_id}/admin", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def set_admin(ctx: Context, request: SetAdmin) -> None:
    """Make a user an administrator, or an ordinary user again."""
    await run(ctx, accounts.set_admin, accounts.SetAdmin(request.user_id, request.admin), facade=FACADE)


class Deactivate(Request):
    """Whose account, and whether the person is to be forgotten. The body may be empty."""

    user_id: Path[str]
    erase: bool = False


class Deactivated(Response):
    """What identity servers did; this server has bound nothing at any."""

    id_server_unbind_result: Literal["success"]


@endpoint(
    "POST",
    "/_synapse/admin/v1/deactivate/{user_id}",
    aliases=("/_matrix/client/r0/admin/deactivate/{user_id}",),
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND,),
)
async def deactivate(ctx: Context, request: Deactivate) -> Deactivated:
    """Deactivate an account, and answer when it has left its rooms."""
    wanted = moderation.Deactivate(request.user_id, request.erase)
    started = await run(ctx, moderation.deactivate, wanted, facade=FACADE)
    await ctx.services.admin.jobs.wait(started.job_id)
    return Deactivated("success")


class ResetPassword(Request):
    """The new password; every device is logged out unless told otherwise."""

    user_id: Path[str]
    new_password: str
    logout_devices: bool = True


@endpoint(
    "POST",
    "/_synapse/admin/v1/reset_password/{user_id}",
    aliases=("/_matrix/client/r0/admin/reset_password/{user_id}",),
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND,),
)
async def reset_password(ctx: Context, request: ResetPassword) -> None:
    """Set the password of a user."""
    if not request.new_password:
        raise MissingParam("Missing parameter: new_password")
    wanted = moderation.ResetPassword(request.user_id, request.new_password, request.logout_devices)
    await run(ctx, moderation.reset_password, wanted, facade=FACADE)


class Suspend(Request):
    """Whether the account is to be suspended."""

    user_id: Path[str]
    suspend: bool


@endpoint("PUT", "/_synapse/admin/v1/suspend/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def suspend(ctx: Context, request: Suspend) -> dict[str, bool]:
    """Suspend an account, or lift that; the key of the answer has the user's ID in it, as Synapse has it."""
    wanted = moderation.SetSuspended(request.user_id, request.suspend)
    await run(ctx, moderation.set_suspended, wanted, facade=FACADE)
    return {f"user_{request.user_id}_suspended": request.suspend}
