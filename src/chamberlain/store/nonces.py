"""Nonces of shared-secret registration: each is good once, until it expires."""

from chamberlain.store.tx import Write


async def create(tx: Write, nonce: str, now: int, expires_at: int, most: int) -> bool:
    """Keep a nonce until `expires_at` (ms), forget the expired ones; False where `most` are kept already."""
    await tx.run("DELETE FROM registration_nonces WHERE expires_at <= :now", now=now)
    if await tx.value("SELECT count(*) FROM registration_nonces") >= most:
        return False
    await tx.run(
        "INSERT INTO registration_nonces (nonce, expires_at) VALUES (:nonce, :expires_at)",
        nonce=nonce,
        expires_at=expires_at,
    )
    return True


async def use(tx: Write, nonce: str, now: int) -> bool:
    """Use the nonce up; False where it is unknown, used or expired. Of many callers one gets True."""
    used = await tx.value(
        "DELETE FROM registration_nonces WHERE nonce = :nonce RETURNING expires_at", nonce=nonce
    )
    return used is not None and bool(used > now)
