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

_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


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
            InvalidParam: a part of it is not allowed, or there is such a token.
        """
        if not 1 <= length <= MAX_LENGTH:
            raise InvalidParam(f"A token has 1 to {MAX_LENGTH} characters")
        if token is None:
            token = self._rng.id(length)
        elif len(token) > MAX_LENGTH or not _TOKEN.fullmatch(token):
            raise InvalidParam(f"A token has 1 to {MAX_LENGTH} of the characters A-Z, a-z, 0-9 and ._~-")
        self._check_limits(uses_allowed, expires_at)
        now = self._clock.now()
        if not await self._db.write(rows.create, token, uses_allowed, expires_at, now):
            raise InvalidParam("There is a token of this name")
        return RegistrationToken(token, uses_allowed, 0, 0, expires_at, now)

    async def list_all(self) -> list[RegistrationToken]:
        """Every token, the oldest first."""
        return await self._db.snapshot(rows.list_all)

    async def get(self, token: str) -> RegistrationToken:
        """A token, a used or expired one too; raises NotFound."""
        found = await self._db.read(rows.find, token)
        if found is None:
            raise NotFound("There is no such registration token")
        return found

    async def update(
        self, token: str, *, uses_allowed: int | None, expires_at: int | None
    ) -> RegistrationToken:
        """The token has these limits; raises NotFound, InvalidParam."""
        self._check_limits(uses_allowed, expires_at)
        if not await self._db.write(rows.update, token, uses_allowed, expires_at):
            raise NotFound("There is no such registration token")
        return await self.get(token)

    async def delete(self, token: str) -> None:
        """Nobody can register with the token any more; raises NotFound."""
        if not await self._db.write(rows.delete, token):
            raise NotFound("There is no such registration token")

    def _check_limits(self, uses_allowed: int | None, expires_at: int | None) -> None:
        if uses_allowed is not None and uses_allowed < 0:
            raise InvalidParam("The number of uses may not be negative")
        if expires_at is not None and expires_at < self._clock.now():
            raise InvalidParam("The time of expiry is in the past")
