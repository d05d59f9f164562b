"""Registration tokens: who has one may make an account (client-server API, 5.5.2.9)."""

import msgspec

from chamberlain.store.tx import Read, Write


class RegistrationToken(msgspec.Struct, frozen=True):
    """A token; `uses_allowed` None: any number, `expires_at` (ms) None: never. `pending` uses are held."""

    token: str
    uses_allowed: int | None
    pending: int
    completed: int
    expires_at: int | None
    created_at: int

    def is_usable(self, now: int) -> bool:
        """Whether an account can be made with it at `now` (ms)."""
        if self.expires_at is not None and self.expires_at <= now:
            return False
        return self.uses_allowed is None or self.pending + self.completed < self.uses_allowed


async def find(tx: Read, token: str) -> RegistrationToken | None:
    """Give a token, a used or expired one too, or None."""
    row = await tx.one(
        "SELECT token, uses_allowed, pending, completed, expires_at, created_at FROM registration_tokens"
        " WHERE token = :token",
        token=token,
    )
    return None if row is None else RegistrationToken(*row)


async def list_all(tx: Read) -> list[RegistrationToken]:
    """Give every token, the oldest first."""
    rows = await tx.all(
        "SELECT token, uses_allowed, pending, completed, expires_at, created_at FROM registration_tokens"
        " ORDER BY created_at, token"
    )
    return [RegistrationToken(*row) for row in rows]


async def create(tx: Write, token: str, uses_allowed: int | None, expires_at: int | None, now: int) -> bool:
    """Make a token; False where there is one of this name."""
    made = await tx.run(
        "INSERT INTO registration_tokens (token, uses_allowed, pending, completed, expires_at, created_at)"
        " VALUES (:token, :uses_allowed, 0, 0, :expires_at, :now) ON CONFLICT (token) DO NOTHING",
        token=token,
        uses_allowed=uses_allowed,
        expires_at=expires_at,
        now=now,
    )
    return bool(made)


async def update(
    tx: Write,
    token: str,
    uses_allowed: int | None,
    expires_at: int | None,
    *,
    keep_uses: bool = False,
    keep_expiry: bool = False,
) -> bool:
    """Change the limits of a token but those to keep; False where there is none."""
    changed = await tx.run(
        "UPDATE registration_tokens SET"
        " uses_allowed = CASE WHEN :keep_uses THEN uses_allowed ELSE CAST(:uses_allowed AS BIGINT) END,"
        " expires_at = CASE WHEN :keep_expiry THEN expires_at ELSE CAST(:expires_at AS BIGINT) END"
        " WHERE token = :token",
        token=token,
        uses_allowed=uses_allowed,
        expires_at=expires_at,
        keep_uses=keep_uses,
        keep_expiry=keep_expiry,
    )
    return bool(changed)


async def delete(tx: Write, token: str) -> bool:
    """Delete a token; False where there is none."""
    return bool(await tx.run("DELETE FROM registration_tokens WHERE token = :token", token=token))


async def consume(tx: Write, token: str, now: int, *, held: bool) -> bool:
    """Count a use, one that was held before or a new one; False where there is none left. The last has one winner."""
    if held:
        changed = await tx.run(
            "UPDATE registration_tokens SET pending = pending - 1, completed = completed + 1"
            " WHERE token = :token AND pending > 0",
            token=token,
        )
        return bool(changed)
    changed = await tx.run(
        "UPDATE registration_tokens SET completed = completed + 1 WHERE token = :token"
        " AND (uses_allowed IS NULL OR pending + completed < uses_allowed)"
        " AND (expires_at IS NULL OR expires_at > :now)",
        token=token,
        now=now,
    )
    return bool(changed)


async def hold(tx: Write, token: str, now: int) -> bool:
    """Hold a use for somebody who is still registering; False where there is none left."""
    changed = await tx.run(
        "UPDATE registration_tokens SET pending = pending + 1 WHERE token = :token"
        " AND (uses_allowed IS NULL OR pending + completed < uses_allowed)"
        " AND (expires_at IS NULL OR expires_at > :now)",
        token=token,
        now=now,
    )
    return bool(changed)


async def let_go(tx: Write, token: str) -> None:
    """Give back a use that was held."""
    await tx.run(
        "UPDATE registration_tokens SET pending = pending - 1 WHERE token = :token AND pending > 0",
        token=token,
    )
