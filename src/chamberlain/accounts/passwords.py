"""Passwords: kept as argon2id hashes, checked in threads, held to the server's policy (client-server API, 5.7)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeVar

from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from chamberlain.config.passwords import Passwords as Settings
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, LimitExceeded, MatrixError, NotFound
from chamberlain.runtime.rng import Rng
from chamberlain.store import devices, tokens, users
from chamberlain.store.database import Database
from chamberlain.store.tx import Write

T = TypeVar("T")

MAX_LENGTH: Final = 512
THREADS: Final = 2
MAX_WAITING: Final = 200
"""How many hashes may wait for a thread, before callers are told to come back."""
RETRY_MS: Final = 2_000

Cost = Literal["default", "lowest"]

_COSTS: Final[dict[Cost, tuple[int, int]]] = {"default": (5, 7_168), "lowest": (1, 8)}
"""Passes and KiB of memory. Of the settings that OWASP holds equally strong, `default` costs least."""
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32


class Passwords:
    """Hashes, checks and changes passwords."""

    def __init__(self, db: Database, settings: Settings, rng: Rng) -> None:
        self._db = db
        self._settings = settings
        self._rng = rng
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0
        # What the password of an unknown user is compared with, so that it takes as long as that of a known one.
        self._nobody = _hash("", rng.bytes(_SALT_BYTES), settings.hash_cost)

    @property
    def enabled(self) -> bool:
        """Whether people may log in with a password."""
        return self._settings.enabled

    async def hash(self, password: str) -> str:
        """The argon2id hash of a password.

        Raises:
            LimitExceeded: too many others are waiting for theirs.
        """
        salt = self._rng.bytes(_SALT_BYTES)
        return await self._run(lambda: _hash(password, salt, self._settings.hash_cost))

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether the hash is of this password; as slow where there is no hash.

        Raises:
            LimitExceeded: too many others are waiting for theirs.
        """
        if len(password) > MAX_LENGTH:
            return False
        right = await self._run(lambda: _verify(password, password_hash or self._nobody))
        return right and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._settings.hash_cost == "lowest":
            return work()
        if self._waiting >= MAX_WAITING:
            raise LimitExceeded(RETRY_MS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def check_policy(self, password: str) -> None:
        """Return when a person may have this password.

        Raises:
            MatrixError: M_WEAK_PASSWORD, with what it lacks.
            InvalidParam: it is longer than 512 characters.
        """
        check_length(password)
        settings = self._settings
        if len(password) < settings.minimum_length:
            raise _weak(f"A password needs at least {settings.minimum_length} characters")
        if settings.require_digit and not any(letter.isdigit() for letter in password):
            raise _weak("A password needs a digit")
        if settings.require_symbol and all(letter.isalnum() for letter in password):
            raise _weak("A password needs a character that is neither letter nor digit")
        if settings.require_lowercase and not any(letter.islower() for letter in password):
            raise _weak("A password needs a lowercase letter")
        if settings.require_uppercase and not any(letter.isupper() for letter in password):
            raise _weak("A password needs an uppercase letter")

    async def set(self, user_id: str, password: str, *, logout: bool, but_device: str | None = None) -> None:
        """The user has this password; with `logout` every device is logged out, but one where it is named.

        Raises:
            InvalidParam: it is longer than 512 characters.
            NotFound: there is no such account, or it is deactivated.
            LimitExceeded: too many others are waiting for their hash.
        """
        check_length(password)
        password_hash = await self.hash(password)
        if not await self._db.write(_change, user_id, password_hash, logout, but_device):
            raise NotFound("There is no such account")

    async def clear(self, user_id: str) -> None:
        """Nobody can log in to the account with a password any more."""
        await self._db.write(users.set_password, user_id, None)

    def close(self) -> None:
        """End the threads when they are idle."""
        self._pool.shutdown()


def check_length(password: str) -> None:
    """Return when the password is not longer than 512 characters; raises InvalidParam."""
    if len(password) > MAX_LENGTH:
        raise InvalidParam(f"A password has at most {MAX_LENGTH} characters")


async def _change(tx: Write, user_id: str, password_hash: str, logout: bool, but_device: str | None) -> bool:
    changed = await users.set_password(tx, user_id, password_hash)
    if changed and logout:
        await devices.delete_all(tx, user_id, but=but_device)
        await tokens.delete_all(tx, user_id, but=but_device)
    return changed


def _weak(message: str) -> MatrixError:
    return MatrixError(ErrCode.WEAK_PASSWORD, message)


def _hash(password: str, salt: bytes, cost: Cost) -> str:
    passes, memory = _COSTS[cost]
    return hash_secret(password.encode(), salt, passes, memory, 1, _HASH_BYTES, Type.ID).decode()


def _verify(password: str, password_hash: str) -> bool:
    try:
        return verify_secret(password_hash.encode(), password.encode(), Type.ID)
    except (VerificationError, InvalidHashError):
        return False
