"""Sessions of user-interactive authentication that have got somewhere (client-server API, 5.5)."""

import orjson

from chamberlain.store import registration_tokens
from chamberlain.store.tx import Read, Write

KEY = "uia_key"


async def get_or_make_key(tx: Write, fresh: str) -> str:
    """Give the secret that sessions are signed with: `fresh` where there was none."""
    await tx.run(
        "INSERT INTO meta (key, value) VALUES (:key, :fresh) ON CONFLICT (key) DO NOTHING",
        key=KEY,
        fresh=fresh,
    )
    key: str = await tx.value("SELECT value FROM meta WHERE key = :key", key=KEY)
    return key


async def find(tx: Read, session: str) -> tuple[list[str], str | None, bool] | None:
    """Give (completed stages, the registration token that it holds, whether it is used up), or None."""
    row = await tx.one(
        "SELECT completed, registration_token, used FROM uia_sessions WHERE session = :session",
        session=session,
    )
    return None if row is None else (orjson.loads(row[0]), row[1], bool(row[2]))


async def complete(
    tx: Write, session: str, stages: list[str], token: str | None, now: int, expires_at: int
) -> bool:
    """Remember the stages completed so far, until `expires_at` (ms); forget what has expired.

    A registration token `token` is held for the session from here on; False where it has no use left.
    """
    await forget_expired(tx, now)
    held: str | None = await tx.value(
        "SELECT registration_token FROM uia_sessions WHERE session = :session", session=session
    )
    if token is not None and held is None and not await registration_tokens.hold(tx, token, now):
        return False
    await tx.run(
        "INSERT INTO uia_sessions (session, completed, registration_token, used, expires_at)"
        " VALUES (:session, :completed, :token, FALSE, :expires_at)"
        " ON CONFLICT (session) DO UPDATE SET completed = excluded.completed,"
        " registration_token = coalesce(uia_sessions.registration_token, excluded.registration_token)",
        session=session,
        completed=orjson.dumps(stages),
        token=token,
        expires_at=expires_at,
    )
    return True


async def use(tx: Write, session: str, expires_at: int) -> bool:
    """Use the session up: of many callers one gets True. A held registration token is no longer held by it."""
    row = await tx.one(
        "INSERT INTO uia_sessions (session, completed, registration_token, used, expires_at)"
        " VALUES (:session, :completed, NULL, TRUE, :expires_at)"
        " ON CONFLICT (session) DO UPDATE SET used = TRUE, registration_token = NULL"
        " WHERE NOT uia_sessions.used RETURNING session",
        session=session,
        completed=b"[]",
        expires_at=expires_at,
    )
    return row is not None


async def forget_expired(tx: Write, now: int) -> None:
    """Forget the sessions that expired before `now` (ms), and give back what they held."""
    rows = await tx.all(
        "DELETE FROM uia_sessions WHERE expires_at <= :now RETURNING registration_token", now=now
    )
    for token in sorted(row[0] for row in rows if row[0] is not None):
        await registration_tokens.let_go(tx, token)
