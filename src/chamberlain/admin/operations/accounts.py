"""Operations on accounts: list, look at, create, and what they may do."""

from typing import Annotated, Literal

import msgspec

from chamberlain.admin import administrators, guard
from chamberlain.admin.operation import SECRET, Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.paging import Offset, PageSize
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.store import admin_lists, threepids
from chamberlain.store.admin_lists import UserFilter, UserRow
from chamberlain.store.threepids import Threepid
from chamberlain.store.users import User

UserOrder = Literal[
    "name",
    "is_guest",
    "admin",
    "user_type",
    "deactivated",
    "locked",
    "shadow_banned",
    "displayname",
    "avatar_url",
    "creation_ts",
    "last_seen_ts",
]
SearchText = Annotated[str, msgspec.Meta(max_length=512)]


class ListUsers(msgspec.Struct, frozen=True, kw_only=True):
    """Which users, in which order, from which place."""

    user_id: SearchText | None = None
    """Part of the user ID."""
    name: SearchText | None = None
    """Part of the localpart or of the display name."""
    guests: bool | None = None
    admins: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    not_user_type: list[str] = []
    """Kinds of account to leave out; the empty one stands for accounts of no kind."""
    order_by: UserOrder = "name"
    dir: Literal["f", "b"] = "f"
    from_: Offset = msgspec.field(name="from", default=0)
    limit: PageSize = 100


class Users(msgspec.Struct, frozen=True):
    """A page of users; `total` counts those of every page."""

    users: list[UserRow]
    total: int


@operation("users.list", Scope.USERS_READ, route=Route("GET", "/users"))
async def list_users(ctx: OperationContext, request: ListUsers) -> Users:
    """List the accounts of this server."""
    wanted = UserFilter(
        user_id=request.user_id,
        text=request.name,
        guests=request.guests,
        admins=request.admins,
        deactivated=request.deactivated,
        locked=request.locked,
        without_types=tuple(request.not_user_type),
    )
    users, total = await ctx.parts.db.snapshot(
        admin_lists.list_users, wanted, request.order_by, request.dir, request.from_, request.limit
    )
    return Users(users, total)


class GetUser(msgspec.Struct, frozen=True):
    """Which user."""

    user_id: str


class UserDetails(msgspec.Struct, frozen=True):
    """An account and its third-party identifiers."""

    user: UserRow
    appservice_id: str | None
    threepids: list[Threepid]


@operation(
    "users.get",
    Scope.USERS_READ,
    target="user_id",
    route=Route("GET", "/users/{user_id}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def get_user(ctx: OperationContext, request: GetUser) -> UserDetails:
    """Look at one account."""
    account = await guard.find_target(ctx, request.user_id)
    row = await ctx.parts.db.read(admin_lists.find_user, request.user_id)
    assert row is not None
    identifiers = await ctx.parts.db.read(threepids.list_of, request.user_id)
    return UserDetails(row, account.appservice_id, identifiers)


class CreateUser(msgspec.Struct, frozen=True, kw_only=True):
    """What the account begins with. Without a password nobody can log in with one."""

    username: str
    """The localpart."""
    password: Annotated[str | None, SECRET] = None
    admin: bool = False
    user_type: str | None = None
    displayname: str | None = None


class UserCreated(msgspec.Struct, frozen=True):
    """The id of the new account."""

    user_id: str


async def plan_create(ctx: OperationContext, request: CreateUser) -> Plan:
    """Refuses what creating would refuse."""
    user_id = await ctx.parts.accounts.registration.check_available(request.username.lower())
    return Plan(users=[user_id], cannot_be_undone=["The user ID is never given to anybody else."])


@operation(
    "users.create",
    Scope.USERS_WRITE,
    plan=plan_create,
    target="username",
    route=Route("POST", "/users"),
    errors=(ErrCode.USER_IN_USE, ErrCode.INVALID_USERNAME),
)
async def create_user(ctx: OperationContext, request: CreateUser) -> UserCreated:
    """Create an account."""
    if request.admin and not ctx.actor.may(Scope.ADMINS_WRITE):
        raise Forbidden(f"Making administrators needs the scope {Scope.ADMINS_WRITE}")
    made = await ctx.parts.accounts.registration.register(
        request.username,
        request.password,
        admin=request.admin,
        user_type=request.user_type,
        displayname=request.displayname,
    )
    return UserCreated(made.user_id)


class SetAdmin(msgspec.Struct, frozen=True):
    """Whether the user is an administrator."""

    user_id: str
    admin: bool


async def plan_set_admin(ctx: OperationContext, request: SetAdmin) -> Plan:
    """Refuses what the operation would refuse."""
    user = await _find_for_set_admin(ctx, request)
    return Plan(users=[] if user.is_admin == request.admin else [user.user_id])


@operation(
    "users.set_admin",
    Scope.USERS_WRITE,
    plan=plan_set_admin,
    target="user_id",
    route=Route("PUT", "/users/{user_id}/admin"),
    errors=(ErrCode.NOT_FOUND,),
    everywhere=True,
)
async def set_admin(ctx: OperationContext, request: SetAdmin) -> Done:
    """Make a user an administrator, or an ordinary user again.

    Administrators cannot demote themselves, and the last one stays.
    """
    await _find_for_set_admin(ctx, request)
    if request.admin:
        await ctx.parts.accounts.users.set_admin(request.user_id, True)
    else:
        await administrators.demote(ctx.parts.db, request.user_id)
    return Done()


async def _find_for_set_admin(ctx: OperationContext, request: SetAdmin) -> User:
    if not ctx.actor.may(Scope.ADMINS_WRITE):
        raise Forbidden(f"Changing administrators needs the scope {Scope.ADMINS_WRITE}")
    user = await guard.find_active_target(ctx, request.user_id)
    guard.check_may_touch(ctx, user)
    if not request.admin and ctx.actor.user_id == request.user_id:
        raise MatrixError(ErrCode.UNKNOWN, "You may not demote yourself", status=400)
    return user
