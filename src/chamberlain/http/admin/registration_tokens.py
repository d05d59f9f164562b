"""Synapse's and Dendrite's paths for registration tokens."""

from typing import Any

import msgspec

from chamberlain.accounts.registration_tokens import DEFAULT_LENGTH, TokenExists
from chamberlain.admin.operations import registration_tokens as tokens
from chamberlain.http.endpoint import Auth, Body, Context, Path, Query, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, InvalidParam, MatrixError, NotFound
from chamberlain.matrix.types import JsonObject
from chamberlain.store.registration_tokens import RegistrationToken

SYNAPSE = "synapse"
DENDRITE = "dendrite"


class ListTokens(Request):
    """Those alone that can be used now, those alone that cannot, or all."""

    valid: Query[bool | None] = None


class NewToken(Request):
    """`token`, or the `length` of one that is drawn; `uses_allowed` and `expiry_time` (ms), each null for no limit."""

    body: Body[JsonObject] = msgspec.field(default_factory=dict)


class OneToken(Request):
    """Which token."""

    token: Path[str]


class ChangedToken(Request):
    """`uses_allowed` and `expiry_time` (ms), each null for no limit; what is left out stays."""

    token: Path[str]
    body: Body[JsonObject] = msgspec.field(default_factory=dict)


class ListedToken(Response):
    """A token; `pending` are uses by people who are registering now, `expiry_time` is in ms."""

    token: str
    uses_allowed: int | None
    pending: int
    completed: int
    expiry_time: int | None


class TokenList(Response):
    """Tokens, the oldest first."""

    registration_tokens: list[ListedToken]


@endpoint("GET", "/_synapse/admin/v1/registration_tokens", auth=Auth.ADMIN)
async def synapse_list(ctx: Context, request: ListTokens) -> TokenList:
    """List registration tokens."""
    return await _list(ctx, request, SYNAPSE)


@endpoint("POST", "/_synapse/admin/v1/registration_tokens/new", auth=Auth.ADMIN)
async def synapse_create(ctx: Context, request: NewToken) -> ListedToken:
    """Make a registration token."""
    return _listed(await run(ctx, tokens.create_token, _new(request.body), facade=SYNAPSE))


@endpoint(
    "GET", "/_synapse/admin/v1/registration_tokens/{token}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def synapse_get(ctx: Context, request: OneToken) -> ListedToken:
    """Look at a registration token."""
    return await _get(ctx, request.token, SYNAPSE)


@endpoint(
    "PUT", "/_synapse/admin/v1/registration_tokens/{token}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def synapse_update(ctx: Context, request: ChangedToken) -> ListedToken:
    """Change the limits of a registration token; an empty body changes nothing."""
    return await _update(ctx, request, SYNAPSE)


@endpoint(
    "DELETE", "/_synapse/admin/v1/registration_tokens/{token}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def synapse_delete(ctx: Context, request: OneToken) -> None:
    """Delete a registration token."""
    await run(ctx, tokens.delete_token, tokens.GetToken(request.token), facade=SYNAPSE)


@endpoint("GET", "/_dendrite/admin/registrationTokens", auth=Auth.ADMIN)
async def dendrite_list(ctx: Context, request: ListTokens) -> TokenList:
    """List registration tokens."""
    return await _list(ctx, request, DENDRITE)


@endpoint("POST", "/_dendrite/admin/registrationTokens/new", auth=Auth.ADMIN, errors=(ErrCode.BAD_JSON,))
async def dendrite_create(ctx: Context, request: NewToken) -> ListedToken:
    """Make a registration token, if the server asks for tokens; 409 if there is one of this name."""
    if not ctx.services.config.registration.require_token:
        raise Forbidden("Registering does not ask for tokens on this server")
    try:
        return _listed(await run(ctx, tokens.create_token, _new(request.body), facade=DENDRITE))
    except TokenExists as refusal:
        raise MatrixError(refusal.code, refusal.message, status=409) from None
    except InvalidParam as refusal:
        raise BadJson(refusal.message) from None


@endpoint("GET", "/_dendrite/admin/registrationTokens/{token}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def dendrite_get(ctx: Context, request: OneToken) -> ListedToken:
    """Look at a registration token."""
    return await _get(ctx, request.token, DENDRITE)


@endpoint(
    "PUT",
    "/_dendrite/admin/registrationTokens/{token}",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND, ErrCode.BAD_JSON),
)
async def dendrite_update(ctx: Context, request: ChangedToken) -> ListedToken:
    """Change the limits of a registration token; an empty body changes nothing."""
    try:
        return await _update(ctx, request, DENDRITE)
    except InvalidParam as refusal:
        raise BadJson(refusal.message) from None


@endpoint("DELETE", "/_dendrite/admin/registrationTokens/{token}", auth=Auth.ADMIN)
async def dendrite_delete(ctx: Context, request: OneToken) -> None:
    """Delete a registration token; one that there is not counts as deleted, as Dendrite has it."""
    try:
        await run(ctx, tokens.delete_token, tokens.GetToken(request.token), facade=DENDRITE)
    except NotFound:
        return


async def _list(ctx: Context, request: ListTokens, facade: str) -> TokenList:
    found = await run(ctx, tokens.list_tokens, tokens.ListTokens(request.valid), facade=facade)
    return TokenList([_listed(token) for token in found.registration_tokens])


async def _get(ctx: Context, token: str, facade: str) -> ListedToken:
    return _listed(await run(ctx, tokens.get_token, tokens.GetToken(token), facade=facade))


async def _update(ctx: Context, request: ChangedToken, facade: str) -> ListedToken:
    body = request.body
    wanted = tokens.UpdateToken(
        token=request.token,
        uses_allowed=_number(body, "uses_allowed"),
        any_uses="uses_allowed" in body and body["uses_allowed"] is None,
        expires_at=_number(body, "expiry_time"),
        never_expires="expiry_time" in body and body["expiry_time"] is None,
    )
    if wanted == tokens.UpdateToken(token=request.token):
        return await _get(ctx, request.token, facade)
    return _listed(await run(ctx, tokens.update_token, wanted, facade=facade))


def _new(body: JsonObject) -> tokens.CreateToken:
    token = body.get("token")
    if token is not None and not isinstance(token, str):
        raise InvalidParam("token must be a string")
    length = _number(body, "length")
    return tokens.CreateToken(
        token=token,
        length=DEFAULT_LENGTH if length is None or token is not None else length,
        uses_allowed=_number(body, "uses_allowed"),
        expires_at=_number(body, "expiry_time"),
    )


def _number(body: JsonObject, key: str) -> int | None:
    value: Any = body.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise InvalidParam(f"{key} must be an integer or null")
    return value


def _listed(token: RegistrationToken) -> ListedToken:
    return ListedToken(token.token, token.uses_allowed, token.pending, token.completed, token.expires_at)
