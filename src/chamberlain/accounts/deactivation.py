"""The end of an account, as far as the account itself goes (client-server API, Account deactivation)."""

from chamberlain.accounts.last_seen import LastSeen
from chamberlain.matrix.errors import NotFound
from chamberlain.runtime.clock import Clock
from chamberlain.store import account_data, filters, openid, profiles, threepids, tokens, users
from chamberlain.store.database import Database
from chamberlain.store.tx import Write


class Deactivation:
    """Ends accounts. Leaving rooms and deleting devices is the business of those who know of rooms and devices."""

    def __init__(self, db: Database, clock: Clock, last_seen: LastSeen) -> None:
        self._db = db
        self._clock = clock
        self._last_seen = last_seen

    async def deactivate(self, user_id: str, *, erase: bool) -> None:
        """Nobody can use the account any more: its tokens die at once, password, 3PIDs and account data are gone.

        With `erase`, the profile is gone and where the user has been, and the user counts as erased. Harmless
        when repeated; the id is never given again.

        Raises:
            NotFound: there is no such user.
        """
        if not await self._db.write(_end, user_id, self._clock.now(), erase):
            raise NotFound("There is no such user")
        await self._db.write(account_data.delete_all, user_id)
        if erase:
            await self._db.write(profiles.delete_all, user_id)
            await self._last_seen.forget(user_id)


async def _end(tx: Write, user_id: str, now: int, erase: bool) -> bool:
    if not await users.deactivate(tx, user_id, now, erase=erase):
        return False
    await tokens.delete_all(tx, user_id)
    await openid.delete_all(tx, user_id)
    await threepids.remove_all(tx, user_id)
    await filters.delete_all(tx, user_id)
    return True
