"""Shared-secret registration: `/_synapse/admin/v1/register`, by which scripts make accounts."""

from typing import Any

import msgspec

from chamberlain.admin.actor import bearer_of_secret
from chamberlain.admin.operations.registration import RegisterWithSecret, register_with_secret
from chamberlain.http.endpoint import Auth, Body, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject

FACADE = "synapse"


class Nonce(Response):
    """What the MAC of one attempt has to have in it, within a minute."""

    nonce: str


@endpoint("GET", "/_synapse/admin/v1/register", auth=Auth.NONE, limit=Limit.REGISTER)
async def get_nonce(ctx: Context) -> Nonce:
    """Ask for a nonce to register with."""
    return Nonce(await ctx.services.admin.secret_registration.new_nonce())


class Register(Request):
    """Nonce, user name, password, what else the account is to be, and the MAC over it."""

    body: Body[JsonObject]


@endpoint(
    "POST",
    "/_synapse/admin/v1/register",
    auth=Auth.NONE,
    limit=Limit.REGISTER,
    errors=(ErrCode.UNKNOWN, ErrCode.BAD_JSON, ErrCode.USER_IN_USE, ErrCode.INVALID_USERNAME),
)
async def register(ctx: Context, request: Register) -> dict[str, Any]:
    """Make an account, an administrator's too, with the shared secret."""
    admin, body = ctx.services.admin, request.body
    nonce = await admin.secret_registration.use_nonce(body)
    wanted = RegisterWithSecret(nonce=nonce, username=str(body.get("username", "")), body=body)
    actor = bearer_of_secret(ctx.client_ip, ctx.user_agent)
    made = await admin.runner.run(register_with_secret, actor, wanted, facade=FACADE)
    login = {} if made.login is None else msgspec.to_builtins(made.login)
    return {"user_id": made.user_id, "home_server": ctx.services.config.server_name} | login
