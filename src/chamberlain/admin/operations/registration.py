"""Making accounts with the shared secret."""

from typing import Annotated, Any

import msgspec

from chamberlain.accounts.tokens import LoggedIn, NewDevice
from chamberlain.accounts.users import USER_TYPES
from chamberlain.admin.operation import SECRET, OperationContext, Plan, Scope, operation
from chamberlain.admin.secret_registration import Proof, refusal
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject

MAX_LENGTH = 512


class RegisterWithSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The nonce, already used up, and all that was sent with it. `username` is a copy of the one in `body`."""

    nonce: Annotated[str, SECRET]
    username: str
    body: Annotated[JsonObject, SECRET]


class RegisteredWithSecret(msgspec.Struct, frozen=True):
    """The new account and its first login, unless that was not wanted."""

    user_id: str
    login: LoggedIn | None


async def plan_register(ctx: OperationContext, request: RegisterWithSecret) -> Plan:
    """Refuses what registering would refuse."""
    proof = _proof_of(request)
    ctx.parts.secret_registration.check_mac(proof)
    return Plan(users=[await ctx.parts.accounts.registration.check_available(proof.username.lower())])


@operation(
    "users.register_with_secret",
    Scope.NONE,
    plan=plan_register,
    target="username",
    errors=(ErrCode.USER_IN_USE, ErrCode.INVALID_USERNAME),
)
async def register_with_secret(ctx: OperationContext, request: RegisterWithSecret) -> RegisteredWithSecret:
    """Create an account for somebody who knows the shared secret."""
    proof = _proof_of(request)
    ctx.parts.secret_registration.check_mac(proof)
    body = request.body
    device = NewDevice(
        device_id=_text_or_none(body, "device_id"),
        display_name=_text_or_none(body, "initial_device_display_name"),
        refreshable=_flag(body, "refresh_token"),
    )
    made = await ctx.parts.accounts.registration.register(
        proof.username,
        proof.password,
        admin=proof.admin,
        user_type=proof.user_type,
        displayname=_text_or_none(body, "displayname"),
        device=None if _flag(body, "inhibit_login") else device,
    )
    return RegisteredWithSecret(made.user_id, made.login)


def _proof_of(request: RegisterWithSecret) -> Proof:
    body = request.body
    username = _credential(body, "username")
    password = _credential(body, "password")
    user_type = body.get("user_type")
    if user_type is not None and user_type not in USER_TYPES:
        raise refusal("Invalid user type")
    mac = body.get("mac")
    if not isinstance(mac, str) or not mac:
        raise refusal("mac must be specified", ErrCode.BAD_JSON)
    return Proof(
        nonce=request.nonce,
        username=username,
        password=password,
        admin=_flag(body, "admin"),
        user_type=user_type,
        mac=mac,
    )


def _credential(body: JsonObject, key: str) -> str:
    value = body.get(key)
    if value is None or value == "":
        raise refusal(f"{key} must be specified", ErrCode.BAD_JSON)
    if not isinstance(value, str) or len(value) > MAX_LENGTH or "\x00" in value:
        raise refusal(f"Invalid {key}")
    return value


def _text_or_none(body: JsonObject, key: str) -> str | None:
    value: Any = body.get(key)
    if value is not None and not isinstance(value, str):
        raise refusal(f"{key} must be a string", ErrCode.BAD_JSON)
    return value


def _flag(body: JsonObject, key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise refusal(f"{key} must be true or false", ErrCode.BAD_JSON)
    return value
