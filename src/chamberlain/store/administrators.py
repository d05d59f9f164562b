"""Administrators: who is one, and that the last of them stays."""

from chamberlain.store import users
from chamberlain.store.tx import Write


class LastAdministrator(Exception):
    """Nobody else could administrate the server; nothing was changed."""


async def list_able(tx: Write) -> list[str]:
    """Give the administrators who can do anything, and keep them from changing up to the commit."""
    rows = await tx.all(
        "SELECT user_id FROM users WHERE admin AND deactivated_at IS NULL AND locked_at IS NULL"
        " ORDER BY user_id FOR UPDATE"
    )
    return [row[0] for row in rows]


async def demote(tx: Write, user_id: str) -> bool:
    """Make the user an ordinary one; False where there is no such user. Raises LastAdministrator."""
    if await list_able(tx) == [user_id]:
        raise LastAdministrator
    return await users.set_admin(tx, user_id, False)


async def lock(tx: Write, user_id: str, since: int) -> bool:
    """Lock the account from `since` (ms) on; False where there is no such user. Raises LastAdministrator."""
    if await list_able(tx) == [user_id]:
        raise LastAdministrator
    return await users.set_locked(tx, user_id, since)
