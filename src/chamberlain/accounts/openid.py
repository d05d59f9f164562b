"""OpenID tokens: proof for a third party of who a user is (client-server API, OpenID)."""

from typing import Final

from chamberlain.accounts.tokens import hash_of
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng
from chamberlain.store import openid as rows
from chamberlain.store.database import Database

LIFETIME_SECONDS: Final = 3_600


class OpenId:
    """Gives out OpenID tokens and says whose they are. They are good for nothing else."""

    def __init__(self, db: Database, clock: Clock, rng: Rng) -> None:
        self._db = db
        self._clock = clock
        self._rng = rng

    async def issue(self, user_id: str) -> str:
        """A token that proves for an hour that its bearer was given it by this user."""
        token = self._rng.token()
        now = self._clock.now()
        await self._db.write(rows.add, hash_of(token), user_id, now, now + LIFETIME_SECONDS * 1_000)
        return token

    async def find_user(self, token: str) -> str | None:
        """The user of a token, or None where it is unknown or expired."""
        return await self._db.read(rows.find_user, hash_of(token), self._clock.now())
