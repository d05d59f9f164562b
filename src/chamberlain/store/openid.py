"""OpenID tokens, with which a user proves to a third party who they are (client-server API, OpenID)."""

from chamberlain.store.tx import Read, Write


async def add(tx: Write, hash: bytes, user_id: str, now: int, expires_at: int) -> None:
    """Keep a token until `expires_at` (ms), by its SHA-256; forget the expired ones."""
    await tx.run("DELETE FROM openid_tokens WHERE expires_at <= :now", now=now)
    await tx.run(
        "INSERT INTO openid_tokens (hash, user_id, expires_at) VALUES (:hash, :user_id, :expires_at)",
        hash=hash,
        user_id=user_id,
        expires_at=expires_at,
    )


async def find_user(tx: Read, hash: bytes, now: int) -> str | None:
    """Give the user of a token, or None where it is unknown or expired."""
    user_id: str | None = await tx.value(
        "SELECT user_id FROM openid_tokens WHERE hash = :hash AND expires_at > :now", hash=hash, now=now
    )
    return user_id


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete the tokens of a user."""
    await tx.run("DELETE FROM openid_tokens WHERE user_id = :user_id", user_id=user_id)
