"""Registration tokens: who has one may make an account (client-server API, 5.5, Token-authenticated registration)."""

import re
from typing import Final

from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import registration_tokens as rows
from chamberlain.store.database import Database
from chamberlain.store.registration_tokens import RegistrationToken

MAX_LENGTH: Final = 64
DEFAULT_LENGTH: Final = 16

_MAX_NUMBER: Final = 2**53 - 1
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


class TokenExists(InvalidParam):
    """There is a registration token of this name."""

    def __init__(self) -> None:
        super().__init__("There is a registration token of this name")


class RegistrationTokens:
    """Makes, lists and checks registration tokens."""

    def __init__(self, db: Database, clock: Clock, rng: Rng) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng

    async def is_usable(self, token: str) -> bool:
        """Whether an account can be made with it now."""
        found = await self._db.read(rows.find, token)
        return found is not None and found.is_usable(self._clock.now())

    async def create(
        self,
        token: str | None = None,
        *,
        uses_allowed: int | None = None,
        expires_at: int | None = None,
        length: int = DEFAULT_LENGTH,
    ) -> RegistrationToken:
        """A new token, drawn with `length` letters where it is not given; `expires_at` in ms.

        Raises:
            InvalidParam: a part of it is not allowed.
            TokenExists: there is such a token.
        """
        self._check_parts(token, length)
        if token is None:
            token = self._rng.id(length)
        self.check_limits(uses_allowed, expires_at)
        now = self._clock.now()
        if not await self._db.write(rows.create, token, uses_allowed, expires_at, now):
            raise TokenExists
        return RegistrationToken(token, uses_allowed, 0, 0, expires_at, now)

    async def check_new(
        self, token: str | None, *, uses_allowed: int | None, expires_at: int | None, length: int
    ) -> None:
        """Raises what `create` would raise now."""
        self._check_parts(token, length)
        self.check_limits(uses_allowed, expires_at)
        if token is not None and await self._db.read(rows.find, token) is not None:
            raise TokenExists

    async def list_all(self, *, usable: bool | None = None) -> list[RegistrationToken]:
        """Every token, the oldest first; with `usable` those alone that are, or are not, usable now."""
        found = await self._db.snapshot(rows.list_all)
        now = self._clock.now()
        return [token for token in found if usable is None or token.is_usable(now) is usable]

    async def get(self, token: str) -> RegistrationToken:
        """A token, a used or expired one too; raises NotFound."""
        found = await self._db.read(rows.find, token)
        if found is None:
            raise NotFound("There is no such registration token")
        return found

    async def update(
        self,
        token: str,
        *,
        uses_allowed: int | None,
        expires_at: int | None,
        keep_uses: bool = False,
        keep_expiry: bool = False,
    ) -> RegistrationToken:
        """The token has these limits, and of its own those to keep; raises NotFound, InvalidParam."""
        self.check_limits(uses_allowed, expires_at)
        if not await self._db.write(
            rows.update, token, uses_allowed, expires_at, keep_uses=keep_uses, keep_expiry=keep_expiry
        ):
            raise NotFound("There is no such registration token")
        return await self.get(token)

    async def delete(self, token: str) -> None:
        """Nobody can register with the token any more; raises NotFound."""
        if not await self._db.write(rows.delete, token):
            raise NotFound("There is no such registration token")

    def check_limits(self, uses_allowed: int | None, expires_at: int | None) -> None:
        """Raises InvalidParam for limits that no token can have."""
        if uses_allowed is not None and not 0 <= uses_allowed <= _MAX_NUMBER:
            raise InvalidParam(f"The number of uses is between 0 and {_MAX_NUMBER}")
        if expires_at is not None and not self._clock.now() <= expires_at <= _MAX_NUMBER:
            raise InvalidParam("The time of expiry is in the past, or too far away")

    def _check_parts(self, token: str | None, length: int) -> None:
        if not 1 <= length <= MAX_LENGTH:
            raise InvalidParam(f"A token has 1 to {MAX_LENGTH} characters")
        if token is not None and (len(token) > MAX_LENGTH or not _TOKEN.fullmatch(token)):
            raise InvalidParam(f"A token has 1 to {MAX_LENGTH} of the characters A-Z, a-z, 0-9 and ._~-")
