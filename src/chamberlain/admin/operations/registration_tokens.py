"""Operations on registration tokens: who has one may make an account."""

import msgspec

from chamberlain.accounts.registration_tokens import DEFAULT_LENGTH
from chamberlain.admin.operation import Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.store.registration_tokens import RegistrationToken

PATH = "/registration-tokens"


class CreateToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to make; nothing of it has to be given."""

    token: str | None = None
    """Its text, of A-Z, a-z, 0-9 and ._~-; without it one is drawn."""
    length: int = DEFAULT_LENGTH
    """The number of characters of one that is drawn, at most 64."""
    uses_allowed: int | None = None
    """The number of accounts that can be made with it; without it any number."""
    expires_at: int | None = None
    """When it ends, in ms since 1970; without it never."""


async def plan_create(ctx: OperationContext, request: CreateToken) -> Plan:
    """Refuses what the operation would refuse."""
    await ctx.parts.accounts.registration_tokens.check_new(
        request.token,
        uses_allowed=request.uses_allowed,
        expires_at=request.expires_at,
        length=request.length,
    )
    return Plan(note="A registration token would be made.")


@operation(
    "registration_tokens.create",
    Scope.REGISTRATION_WRITE,
    plan=plan_create,
    target="token",
    route=Route("POST", PATH),
)
async def create_token(ctx: OperationContext, request: CreateToken) -> RegistrationToken:
    """Make a registration token."""
    return await ctx.parts.accounts.registration_tokens.create(
        request.token,
        uses_allowed=request.uses_allowed,
        expires_at=request.expires_at,
        length=request.length,
    )


class ListTokens(msgspec.Struct, frozen=True):
    """Which tokens."""

    valid: bool | None = None
    """Those alone that can be used now, or those alone that cannot."""


class Tokens(msgspec.Struct, frozen=True):
    """Tokens, the oldest first."""

    registration_tokens: list[RegistrationToken]


@operation("registration_tokens.list", Scope.REGISTRATION_READ, route=Route("GET", PATH))
async def list_tokens(ctx: OperationContext, request: ListTokens) -> Tokens:
    """List registration tokens, used ones and expired ones too."""
    return Tokens(await ctx.parts.accounts.registration_tokens.list_all(usable=request.valid))


class GetToken(msgspec.Struct, frozen=True):
    """Which token."""

    token: str


@operation(
    "registration_tokens.get",
    Scope.REGISTRATION_READ,
    target="token",
    route=Route("GET", PATH + "/{token}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def get_token(ctx: OperationContext, request: GetToken) -> RegistrationToken:
    """Look at a registration token: its limits, and how often it was used."""
    return await ctx.parts.accounts.registration_tokens.get(request.token)


class UpdateToken(msgspec.Struct, frozen=True, kw_only=True):
    """The new limits of a token; what is not given stays."""

    token: str
    uses_allowed: int | None = None
    """The number of accounts that can be made with it, those already made among them."""
    any_uses: bool = False
    """It can be used any number of times."""
    expires_at: int | None = None
    """When it ends, in ms since 1970."""
    never_expires: bool = False
    """It does not end."""


async def plan_update(ctx: OperationContext, request: UpdateToken) -> Plan:
    """Refuses what the operation would refuse."""
    _check(request)
    tokens = ctx.parts.accounts.registration_tokens
    tokens.check_limits(request.uses_allowed, request.expires_at)
    await tokens.get(request.token)
    return Plan(note="The limits of the registration token would be changed.")


@operation(
    "registration_tokens.update",
    Scope.REGISTRATION_WRITE,
    plan=plan_update,
    target="token",
    route=Route("PUT", PATH + "/{token}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def update_token(ctx: OperationContext, request: UpdateToken) -> RegistrationToken:
    """Change how often a registration token can be used, and until when."""
    _check(request)
    return await ctx.parts.accounts.registration_tokens.update(
        request.token,
        uses_allowed=request.uses_allowed,
        expires_at=request.expires_at,
        keep_uses=request.uses_allowed is None and not request.any_uses,
        keep_expiry=request.expires_at is None and not request.never_expires,
    )


async def plan_delete(ctx: OperationContext, request: GetToken) -> Plan:
    """Refuses what the operation would refuse."""
    found = await ctx.parts.accounts.registration_tokens.get(request.token)
    return Plan(note=f"{found.completed} accounts were made with it; they stay.")


@operation(
    "registration_tokens.delete",
    Scope.REGISTRATION_WRITE,
    plan=plan_delete,
    target="token",
    route=Route("DELETE", PATH + "/{token}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def delete_token(ctx: OperationContext, request: GetToken) -> Done:
    """Delete a registration token; the accounts that were made with it stay."""
    await ctx.parts.accounts.registration_tokens.delete(request.token)
    return Done()


def _check(request: UpdateToken) -> None:
    if request.any_uses and request.uses_allowed is not None:
        raise InvalidParam("uses_allowed and any_uses exclude each other")
    if request.never_expires and request.expires_at is not None:
        raise InvalidParam("expires_at and never_expires exclude each other")
