"""Access and refresh tokens, known by their SHA-256 alone."""

from collections.abc import Sequence

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


class AccessToken(msgspec.Struct, frozen=True):
    """A token and the account behind it; `replaces` is the refresh token that dies when this one is used."""

    user_id: str
    device_id: str | None
    expires_at: int | None
    replaces: bytes | None
    is_guest: bool
    is_admin: bool
    is_locked: bool
    is_suspended: bool
    appservice_id: str | None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be kept; times in ms. `expires_at` is for access tokens alone."""

    hash: bytes
    user_id: str
    device_id: str | None
    created_at: int
    expires_at: int | None = None
    replaces: bytes | None = None


async def find(tx: Read, hash: bytes) -> AccessToken | None:
    """Give what an access token stands for, an expired one too; None where there is none."""
    row = await tx.one(
        "SELECT t.user_id, t.device_id, t.expires_at, t.replaces, u.guest, u.admin, u.locked_at, u.suspended_at,"
        " u.appservice_id FROM access_tokens t JOIN users u ON u.user_id = t.user_id"
        " WHERE t.hash = :hash AND u.deactivated_at IS NULL",
        hash=hash,
    )
    if row is None:
        return None
    user_id, device_id, expires_at, replaces, guest, admin, locked_at, suspended_at, appservice_id = row
    return AccessToken(
        user_id,
        device_id,
        expires_at,
        replaces,
        bool(guest),
        bool(admin),
        locked_at is not None,
        suspended_at is not None,
        appservice_id,
    )


async def hashes_of(tx: Read, user_id: str) -> list[bytes]:
    """Give the hashes of a user's access tokens."""
    rows = await tx.all("SELECT hash FROM access_tokens WHERE user_id = :user_id", user_id=user_id)
    return [row[0] for row in rows]


async def add_access(tx: Write, new: Sequence[NewToken]) -> None:
    """Keep access tokens, all as one set."""
    await tx.many(
        "INSERT INTO access_tokens (hash, user_id, device_id, created_at, expires_at, replaces)"
        " VALUES (:hash, :user_id, :device_id, :created_at, :expires_at, :replaces)",
        [msgspec.structs.asdict(token) for token in new],
    )


async def add_refresh(tx: Write, new: Sequence[NewToken]) -> None:
    """Keep refresh tokens, all as one set."""
    await tx.many(
        "INSERT INTO refresh_tokens (hash, user_id, device_id, created_at, replaces)"
        " VALUES (:hash, :user_id, :device_id, :created_at, :replaces)",
        [msgspec.structs.asdict(token) for token in new],
    )


async def delete(tx: Write, hash: bytes) -> bool:
    """Delete one access token; False where there is none."""
    row = await tx.one("DELETE FROM access_tokens WHERE hash = :hash RETURNING user_id, device_id", hash=hash)
    if row is not None:
        tx.place(kinds.ACCESS, row[0], row[1])
    return row is not None


async def delete_of_device(tx: Write, user_id: str, device_id: str) -> bool:
    """Delete the tokens of a device, which stays; False where it had none."""
    access = await tx.run(
        "DELETE FROM access_tokens WHERE user_id = :user_id AND device_id = :device_id",
        user_id=user_id,
        device_id=device_id,
    )
    refresh = await tx.run(
        "DELETE FROM refresh_tokens WHERE user_id = :user_id AND device_id = :device_id",
        user_id=user_id,
        device_id=device_id,
    )
    if access:
        tx.place(kinds.ACCESS, user_id, device_id)
    return bool(access or refresh)


async def delete_all(tx: Write, user_id: str, but: str | None = None) -> None:
    """Delete every token of a user, those of one device excepted where it is named."""
    for sql in (
        "DELETE FROM access_tokens WHERE user_id = :user_id AND (device_id IS NULL OR device_id <> :but)",
        "DELETE FROM refresh_tokens WHERE user_id = :user_id AND device_id <> :but",
    ):
        await tx.run(sql, user_id=user_id, but=but or "")
    await tx.run("DELETE FROM login_tokens WHERE user_id = :user_id", user_id=user_id)
    tx.place(kinds.ACCESS, user_id)


async def find_refresh(tx: Read, hash: bytes) -> tuple[str, str, bytes | None, bool] | None:
    """Give (user, device, the token that it replaces, whether the user is locked), or None."""
    row = await tx.one(
        "SELECT t.user_id, t.device_id, t.replaces, u.locked_at FROM refresh_tokens t"
        " JOIN users u ON u.user_id = t.user_id WHERE t.hash = :hash AND u.deactivated_at IS NULL",
        hash=hash,
    )
    return None if row is None else (row[0], row[1], row[2], row[3] is not None)


async def rotate(tx: Write, used: bytes, access: NewToken, refresh: NewToken) -> bool:
    """Put new tokens in the place of those that came from `used`; False where `used` is good no longer.

    `used` stays good until one of the new ones is used, so that an answer may get lost. Of several calls with
    the same `used`, only the tokens of the last are good.
    """
    await _lock_device(tx, refresh)
    found = await tx.one("SELECT replaces FROM refresh_tokens WHERE hash = :hash", hash=used)
    if found is None:
        return False
    if found[0] is not None:
        await _settle(tx, refresh.user_id, refresh.device_id, found[0])
    dropped = await tx.run(
        "DELETE FROM access_tokens WHERE user_id = :user_id AND device_id = :device_id AND replaces = :used",
        user_id=refresh.user_id,
        device_id=refresh.device_id,
        used=used,
    )
    await tx.run(
        "DELETE FROM refresh_tokens WHERE user_id = :user_id AND device_id = :device_id AND replaces = :used",
        user_id=refresh.user_id,
        device_id=refresh.device_id,
        used=used,
    )
    await add_access(tx, [access])
    await add_refresh(tx, [refresh])
    if dropped:
        tx.place(kinds.ACCESS, refresh.user_id, refresh.device_id)
    return True


async def confirm(tx: Write, hash: bytes, token: AccessToken) -> bool:
    """Note that a token that came from a refresh is in use: what it replaces dies. False where it is gone."""
    await _lock_device(tx, token)
    found = await tx.one("SELECT replaces FROM access_tokens WHERE hash = :hash", hash=hash)
    if found is not None and found[0] is not None:
        await _settle(tx, token.user_id, token.device_id, found[0])
    return found is not None


async def _lock_device(tx: Write, token: NewToken | AccessToken) -> None:
    await tx.value(
        "SELECT device_id FROM devices WHERE user_id = :user_id AND device_id = :device_id FOR UPDATE",
        user_id=token.user_id,
        device_id=token.device_id,
    )


async def _settle(tx: Write, user_id: str, device_id: str | None, replaced: bytes) -> None:
    """Delete the refresh token that was replaced and the access tokens that are older than its successors."""
    await tx.run("DELETE FROM refresh_tokens WHERE hash = :replaced", replaced=replaced)
    await tx.run(
        "DELETE FROM access_tokens WHERE user_id = :user_id AND device_id = :device_id"
        " AND (replaces IS NULL OR replaces <> :replaced)",
        user_id=user_id,
        device_id=device_id,
        replaced=replaced,
    )
    for sql in (
        "UPDATE access_tokens SET replaces = NULL"
        " WHERE user_id = :user_id AND device_id = :device_id AND replaces = :replaced",
        "UPDATE refresh_tokens SET replaces = NULL"
        " WHERE user_id = :user_id AND device_id = :device_id AND replaces = :replaced",
    ):
        await tx.run(sql, user_id=user_id, device_id=device_id, replaced=replaced)
    tx.place(kinds.ACCESS, user_id, device_id)


async def add_login_token(tx: Write, hash: bytes, user_id: str, now: int, expires_at: int) -> None:
    """Keep a token that is good for one login until `expires_at` (ms); forget the expired ones."""
    await tx.run("DELETE FROM login_tokens WHERE expires_at <= :now", now=now)
    await tx.run(
        "INSERT INTO login_tokens (hash, user_id, expires_at) VALUES (:hash, :user_id, :expires_at)",
        hash=hash,
        user_id=user_id,
        expires_at=expires_at,
    )


async def use_login_token(tx: Write, hash: bytes, now: int) -> str | None:
    """Use a login token up and give its user; None where it is unknown, used or expired."""
    row = await tx.one("DELETE FROM login_tokens WHERE hash = :hash RETURNING user_id, expires_at", hash=hash)
    return row[0] if row is not None and row[1] > now else None
