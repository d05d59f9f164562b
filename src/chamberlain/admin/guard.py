"""Guard rails: which accounts an operation may be about, and which an actor may change."""

from chamberlain.admin.operation import OperationContext, Scope
from chamberlain.matrix.errors import Forbidden, InvalidParam, NotFound
from chamberlain.matrix.ids import UserID, parse_user_id
from chamberlain.store.users import User


def local_user_id(ctx: OperationContext, user_id: str) -> UserID:
    """The id as one of this server.

    Raises:
        InvalidParam: it is no user id, or one of another server.
    """
    parsed = parse_user_id(user_id)
    if not ctx.parts.accounts.users.is_local(parsed):
        raise InvalidParam("The user is not of this server")
    return parsed


async def find_target(ctx: OperationContext, user_id: str) -> User:
    """The account that an operation is about, a deactivated one too.

    Raises:
        InvalidParam: it is no user id, or one of another server.
        NotFound: there is no such user.
    """
    return await ctx.parts.accounts.users.get(local_user_id(ctx, user_id))


async def find_active_target(ctx: OperationContext, user_id: str) -> User:
    """As `find_target`; raises NotFound for a deactivated account too."""
    user = await find_target(ctx, user_id)
    if user.is_deactivated:
        raise NotFound("The account is deactivated")
    return user


def check_may_touch(ctx: OperationContext, user: User) -> None:
    """Return when the actor may change the account.

    Raises:
        Forbidden: the user is an administrator, and the actor's token may not change those.
        InvalidParam: the account speaks for the server.
    """
    if user.user_id == ctx.parts.notices.user_id:
        raise InvalidParam("The account speaks for the server")
    if user.is_admin and ctx.actor.user_id != user.user_id and not ctx.actor.may(Scope.ADMINS_WRITE):
        raise Forbidden(f"Changing administrators needs the scope {Scope.ADMINS_WRITE}")
