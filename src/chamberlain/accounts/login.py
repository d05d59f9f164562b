"""Logging in: with a password or with a token that another device asked for (client-server API, Login)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from chamberlain.accounts.passwords import Passwords
from chamberlain.accounts.threepids import Threepids
from chamberlain.accounts.tokens import LoggedIn, NewDevice, Tokens, locked
from chamberlain.accounts.users import Users
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, Forbidden, InvalidParam, MatrixError, MissingParam
from chamberlain.matrix.types import JsonObject
from chamberlain.store import cross_signing
from chamberlain.store import users as rows
from chamberlain.store.database import Database

PASSWORD: Final = "m.login.password"
TOKEN: Final = "m.login.token"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sent to log in. `user`, `medium` and `address` are how it was done before identifiers."""

    type: str
    device: NewDevice
    identifier: Any = None
    user: str | None = None
    medium: str | None = None
    address: str | None = None
    password: str | None = None
    token: str | None = None


class Login:
    """Logs devices in."""

    def __init__(
        self, db: Database, users: Users, passwords: Passwords, threepids: Threepids, tokens: Tokens
    ) -> None:
        self._db = db
        self._users = users
        self._passwords = passwords
        self._threepids = threepids
        self._tokens = tokens

    def flows(self) -> list[JsonObject]:
        """The ways to log in."""
        flows: list[JsonObject] = [{"type": TOKEN, "get_login_token": True}]
        if self._passwords.enabled:
            flows.insert(0, {"type": PASSWORD})
        return flows

    async def log_in(self, attempt: Attempt, throttle: Callable[[str], None]) -> LoggedIn:
        """The device is logged in. `throttle` is told whose account is tried, and raises where that is too often.

        Raises:
            Forbidden: name, password or token is wrong, or the device's id is that of a cross-signing key.
            MatrixError: M_USER_DEACTIVATED, M_USER_LOCKED; M_UNKNOWN (400) for an unknown type.
            BadJson, InvalidParam, MissingParam: the request has the wrong shape.
        """
        if attempt.type == PASSWORD and self._passwords.enabled:
            user_id = await self._by_password(attempt, throttle)
        elif attempt.type == TOKEN:
            user_id = await self._by_token(attempt)
        else:
            raise MatrixError(ErrCode.UNKNOWN, "There is no such way to log in", status=400)
        await self._check_device_id(user_id, attempt.device.device_id)
        return await self._tokens.issue(user_id, attempt.device)

    async def _check_device_id(self, user_id: str, device_id: str | None) -> None:
        """A device that is named like one of the user's cross-signing keys could pass for it."""
        if device_id is not None:
            for _, (_, public_key, _) in await self._db.read(cross_signing.of_users, [user_id]):
                if public_key == device_id:
                    raise Forbidden("A device cannot have the ID of a cross-signing key")

    async def _by_password(self, attempt: Attempt, throttle: Callable[[str], None]) -> str:
        if attempt.password is None:
            raise MissingParam("The password is missing")
        candidates = await self._candidates(attempt)
        if candidates:
            throttle(candidates[-1])
        found = await self._db.read(rows.credentials, candidates)
        user_id = next((candidate for candidate in candidates if candidate in found), None)
        password_hash, is_locked, is_deactivated = (None, False, False) if user_id is None else found[user_id]
        right = await self._passwords.is_right(attempt.password, password_hash)
        if is_deactivated:
            raise _deactivated()
        if user_id is None or not right:
            raise Forbidden("The user name or the password is wrong")
        if is_locked:
            raise locked()
        return user_id

    async def _by_token(self, attempt: Attempt) -> str:
        if attempt.token is None:
            raise MissingParam("The token is missing")
        user_id = await self._tokens.use_login_token(attempt.token)
        if user_id is None:
            raise Forbidden("The login token is wrong, used or expired")
        user = await self._users.get(user_id)
        if user.is_deactivated:
            raise _deactivated()
        if user.is_locked:
            raise locked()
        return user_id

    async def _candidates(self, attempt: Attempt) -> list[str]:
        """The ids that may be meant: as it is written, and in lowercase."""
        identifier = _identifier_of(attempt)
        kind = identifier.get("type")
        if kind == "m.id.user":
            return self._ids_of(_text(identifier, "user"))
        if kind == "m.id.thirdparty":
            medium, address = _text(identifier, "medium"), _text(identifier, "address")
            user_id = await self._threepids.find_user(medium, address)
            return [] if user_id is None else [user_id]
        raise MatrixError(ErrCode.UNKNOWN, "There is no such kind of identifier", status=400)

    def _ids_of(self, name: str) -> list[str]:
        try:
            user_id = self._users.parse_local(name)
        except InvalidParam:
            return []
        localpart, _, server = user_id.partition(":")
        return list(dict.fromkeys((user_id, f"{localpart.lower()}:{server}")))


def _identifier_of(attempt: Attempt) -> Mapping[str, Any]:
    if attempt.identifier is not None:
        if not isinstance(attempt.identifier, dict):
            raise BadJson("identifier is not an object")
        return attempt.identifier
    if attempt.user is not None:
        return {"type": "m.id.user", "user": attempt.user}
    if attempt.medium is not None and attempt.address is not None:
        return {"type": "m.id.thirdparty", "medium": attempt.medium, "address": attempt.address}
    raise MissingParam("The identifier is missing")


def _text(identifier: Mapping[str, Any], key: str) -> str:
    value = identifier.get(key)
    if value is None:
        raise MissingParam(f"identifier.{key} is missing")
    if not isinstance(value, str):
        raise BadJson(f"identifier.{key} is not a string")
    return value


def _deactivated() -> MatrixError:
    return MatrixError(ErrCode.USER_DEACTIVATED, "This account has been deactivated")
