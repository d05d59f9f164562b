"""Making accounts, whoever asks for it (client-server API, Account registration)."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import orjson

from chamberlain.accounts.passwords import Passwords, check_length
from chamberlain.accounts.profiles import AVATAR_URL, DISPLAYNAME, check_value
from chamberlain.accounts.tokens import Grant, LoggedIn, NewDevice, Tokens, write_grant, write_new_devices
from chamberlain.accounts.uia import Passed
from chamberlain.accounts.users import Users, check_user_type
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import MAX_ID_BYTES, UserID, is_valid_localpart, make_user_id
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import profiles, registration_tokens, uia, users
from chamberlain.store.database import Database
from chamberlain.store.tx import Write
from chamberlain.store.users import NewUser

FIRST_PASSWORD_BYTES: Final = 15


class Registered(msgspec.Struct, frozen=True):
    """An account that was made, and its first login where one was asked for."""

    user_id: str
    login: LoggedIn | None


class SessionUsedUp(Exception):
    """Somebody else was faster with the same session of user-interactive authentication."""


class _Account(msgspec.Struct, frozen=True):
    user: NewUser
    profile: Mapping[str, bytes]
    grant: Grant | None
    passed: Passed | None


class Registration:
    """Makes accounts. An id is given once: that of a deactivated account is never given again."""

    def __init__(
        self, db: Database, clock: Clock, rng: Rng, users: Users, passwords: Passwords, tokens: Tokens
    ) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self.is_exclusive: Callable[[UserID], bool] = _never
        """Says which ids are kept for application services."""

    async def check_available(self, localpart: str) -> UserID:
        """The id that a person can have now with this localpart.

        Raises:
            MatrixError: M_INVALID_USERNAME, M_EXCLUSIVE, M_USER_IN_USE.
        """
        user_id = self.user_id_of(localpart)
        if localpart.startswith("_"):
            raise _invalid("A user name may not start with an underscore")
        if self.is_exclusive(user_id):
            raise MatrixError(ErrCode.EXCLUSIVE, "This user name is kept for an application service")
        if await self._users.find(user_id) is not None:
            raise in_use()
        return user_id

    def user_id_of(self, localpart: str) -> UserID:
        """The id of a new account with this localpart; raises M_INVALID_USERNAME."""
        if not localpart:
            raise _invalid("The user name is empty")
        if not is_valid_localpart(localpart):
            raise _invalid("A user name has lowercase letters, digits and the characters ._=-/+ only")
        user_id = make_user_id(localpart, self._users.server_name)
        if len(user_id) > MAX_ID_BYTES:
            raise _invalid("The user name is too long")
        return user_id

    def draw_localpart(self) -> str:
        """A localpart for somebody who does not mind."""
        return self._rng.id(14).lower()

    async def register(
        self,
        localpart: str,
        password: str | None,
        *,
        admin: bool = False,
        guest: bool = False,
        was_guest: bool = False,
        user_type: str | None = None,
        displayname: str | None = None,
        avatar_url: str = "",
        appservice_id: str | None = None,
        device: NewDevice | None = None,
        passed: Passed | None = None,
    ) -> Registered:
        """There is an account with this (lowercased) localpart, and a login of `device` where it is given.

        Without a display name the localpart is shown; an empty one: none. `was_guest`: the account of a guest
        becomes a full one. `passed` is used up with it, and its registration token.

        Raises:
            MatrixError: M_INVALID_USERNAME, M_USER_IN_USE; M_UNAUTHORIZED, the registration token is used up.
            InvalidParam: the password, the display name or the avatar is not allowed, or there is no such user type.
            SessionUsedUp: `passed` was used before.
        """
        localpart = localpart.lower()
        user_id = self.user_id_of(localpart)
        check_user_type(user_type)
        if displayname is None:
            displayname = "" if guest else localpart
        profile = _profile({} if was_guest else {DISPLAYNAME: displayname, AVATAR_URL: avatar_url})
        if password is not None:
            check_length(password)
        user = NewUser(
            user_id=user_id,
            created_at=self._clock.now(),
            password_hash=None if password is None else await self._passwords.hash(password),
            admin=admin,
            guest=guest,
            user_type=user_type,
            appservice_id=appservice_id,
        )
        grant = None if device is None else self._tokens.draw(user_id, device)
        account = _Account(user, profile, grant, passed)
        if was_guest:
            await self._db.write(_upgrade, account)
        else:
            await self._db.write_batch(_register, account)
        return Registered(user_id, None if grant is None else grant.login)

    async def ensure_first_admin(self, localpart: str = "admin") -> tuple[str, str] | None:
        """There is at least one account; gives name and password of the administrator where it had to be made."""
        if not await self._db.read(users.is_empty):
            return None
        password = self._rng.token(FIRST_PASSWORD_BYTES)
        try:
            made = await self.register(localpart, password, admin=True)
        except MatrixError as refusal:
            if refusal.code is ErrCode.USER_IN_USE:  # another worker was faster
                return None
            raise
        return made.user_id, password


async def _register(tx: Write, accounts: list[_Account]) -> list[None]:
    """Make the accounts as one set; an id that is taken fails, and then each is tried alone and told why."""
    if len(accounts) > 1:
        await users.create_many(tx, [account.user for account in accounts])
    elif not await users.create(tx, accounts[0].user):
        raise in_use()
    for account in accounts:
        if account.passed is not None:
            await _use_up(tx, account.passed, account.user.created_at)
    await profiles.create(
        tx,
        [
            (account.user.user_id, field, value)
            for account in accounts
            for field, value in account.profile.items()
        ],
    )
    await write_new_devices(tx, [account.grant for account in accounts if account.grant is not None])
    return [None] * len(accounts)


async def _upgrade(tx: Write, account: _Account) -> None:
    if not await users.upgrade_guest(tx, account.user.user_id, account.user.password_hash):
        raise in_use()
    if account.passed is not None:
        await _use_up(tx, account.passed, account.user.created_at)
    if account.grant is not None:
        await write_grant(tx, account.grant)


async def _use_up(tx: Write, passed: Passed, now: int) -> None:
    if passed.session is not None and not await uia.use(tx, passed.session, passed.expires_at):
        raise SessionUsedUp
    token = passed.registration_token
    if token is not None and not await registration_tokens.consume(tx, token, now, held=passed.token_is_held):
        raise MatrixError(ErrCode.UNAUTHORIZED, "The registration token is used up")


def _profile(texts: Mapping[str, str]) -> dict[str, bytes]:
    """The fields that are not empty, as JSON; raises InvalidParam."""
    for field, text in texts.items():
        check_value(field, text)
    return {field: orjson.dumps(text) for field, text in texts.items() if text}


def _never(_: UserID) -> bool:
    return False


def _invalid(message: str) -> MatrixError:
    return MatrixError(ErrCode.INVALID_USERNAME, message)


def in_use() -> MatrixError:
    """The answer to whoever wants an id that was ever given."""
    return MatrixError(ErrCode.USER_IN_USE, "This user name is taken")
