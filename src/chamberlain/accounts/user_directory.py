"""Finding people by name (client-server API, User Directory)."""

from typing import Final

from chamberlain.store import user_directory as rows
from chamberlain.store.database import Database
from chamberlain.store.user_directory import Found

DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 50


class UserDirectory:
    """Searches those whom a user may know of: who shares a room with them, or is in a public one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def search(self, user_id: str, term: str, limit: int) -> tuple[list[Found], bool]:
        """At most `limit` (and never more than 50) users whose id or name contains the term; whether there are more."""
        term = term.strip()
        if not term:
            return [], False
        limit = max(0, min(limit, MAX_LIMIT))
        found = await self._db.snapshot(rows.search, user_id, term, limit + 1)
        return found[:limit], len(found) > limit
