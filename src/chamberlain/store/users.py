"""Accounts: who has one, and what it may do. A row is never deleted, so that an id is never given twice."""

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Row, Write


class User(msgspec.Struct, frozen=True):
    """An account of this server; times are in ms, None where it is not so."""

    user_id: str
    created_at: int
    has_password: bool
    is_admin: bool
    is_guest: bool
    user_type: str | None
    appservice_id: str | None
    locked_at: int | None
    suspended_at: int | None
    shadow_banned_at: int | None
    deactivated_at: int | None
    erased_at: int | None

    @property
    def is_locked(self) -> bool:
        """Whether nothing but logging out is possible."""
        return self.locked_at is not None

    @property
    def is_suspended(self) -> bool:
        """Whether others may not be reached."""
        return self.suspended_at is not None

    @property
    def is_deactivated(self) -> bool:
        """Whether the account is gone for good."""
        return self.deactivated_at is not None

    @property
    def is_erased(self) -> bool:
        """Whether the person asked to be forgotten."""
        return self.erased_at is not None


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """What an account begins with; `password_hash` None: nobody can log in with a password."""

    user_id: str
    created_at: int
    password_hash: str | None = None
    admin: bool = False
    guest: bool = False
    user_type: str | None = None
    appservice_id: str | None = None


async def create(tx: Write, new: NewUser) -> bool:
    """Make an account; False where the id was ever taken."""
    made = await tx.run(
        "INSERT INTO users (user_id, created_at, password_hash, admin, guest, user_type, appservice_id)"
        " VALUES (:user_id, :created_at, :password_hash, :admin, :guest, :user_type, :appservice_id)"
        " ON CONFLICT (user_id) DO NOTHING",
        **msgspec.structs.asdict(new),
    )
    return bool(made)


async def create_many(tx: Write, new: Sequence[NewUser]) -> None:
    """Make accounts as one set; a driver's error where one of the ids was ever taken."""
    await tx.many(
        "INSERT INTO users (user_id, created_at, password_hash, admin, guest, user_type, appservice_id)"
        " VALUES (:user_id, :created_at, :password_hash, :admin, :guest, :user_type, :appservice_id)",
        [msgspec.structs.asdict(user) for user in new],
    )


async def find(tx: Read, user_id: str) -> User | None:
    """Give an account, a deactivated one too, or None."""
    row = await tx.one(
        "SELECT user_id, created_at, password_hash IS NOT NULL, admin, guest, user_type, appservice_id,"
        " locked_at, suspended_at, shadow_banned_at, deactivated_at, erased_at"
        " FROM users WHERE user_id = :user_id",
        user_id=user_id,
    )
    return None if row is None else _user(row)


def _user(row: Row) -> User:
    return User(row[0], row[1], bool(row[2]), bool(row[3]), bool(row[4]), *row[5:])


async def credentials(tx: Read, user_ids: Sequence[str]) -> dict[str, tuple[str | None, bool, bool]]:
    """Give (password hash, locked, deactivated) of those that exist."""
    rows = await tx.all(
        "SELECT user_id, password_hash, locked_at, deactivated_at FROM users WHERE user_id = ANY(:user_ids)",
        user_ids=list(user_ids),
    )
    return {row[0]: (row[1], row[2] is not None, row[3] is not None) for row in rows}


async def is_empty(tx: Read) -> bool:
    """Whether nobody has an account yet."""
    return await tx.value("SELECT user_id FROM users LIMIT 1") is None


async def erased_among(tx: Read, user_ids: Sequence[str]) -> set[str]:
    """Give which of these users asked to be forgotten."""
    rows = await tx.all(
        "SELECT user_id FROM users WHERE user_id = ANY(:user_ids) AND erased_at IS NOT NULL",
        user_ids=list(user_ids),
    )
    return {row[0] for row in rows}


async def set_password(tx: Write, user_id: str, password_hash: str | None) -> bool:
    """Change the password, None for no password; False where there is no such account, or no longer."""
    return await _update(
        tx,
        "UPDATE users SET password_hash = :password_hash WHERE user_id = :user_id AND deactivated_at IS NULL",
        user_id=user_id,
        password_hash=password_hash,
    )


async def set_admin(tx: Write, user_id: str, admin: bool) -> bool:
    """Make the user an administrator, or no longer; False where there is no such account."""
    return await _update(
        tx, "UPDATE users SET admin = :admin WHERE user_id = :user_id", user_id=user_id, admin=admin
    )


async def set_user_type(tx: Write, user_id: str, user_type: str | None) -> bool:
    """Change the kind of account; False where there is no such account."""
    return await _update(
        tx,
        "UPDATE users SET user_type = :user_type WHERE user_id = :user_id",
        user_id=user_id,
        user_type=user_type,
    )


async def set_locked(tx: Write, user_id: str, since: int | None) -> bool:
    """Lock the account from `since` (ms) on, None to unlock it; False where there is no such account."""
    return await _update(
        tx, "UPDATE users SET locked_at = :since WHERE user_id = :user_id", user_id=user_id, since=since
    )


async def set_suspended(tx: Write, user_id: str, since: int | None) -> bool:
    """Suspend the account from `since` (ms) on, None to lift it; False where there is no such account."""
    return await _update(
        tx, "UPDATE users SET suspended_at = :since WHERE user_id = :user_id", user_id=user_id, since=since
    )


async def set_shadow_banned(tx: Write, user_id: str, since: int | None) -> bool:
    """Shadow-ban the account from `since` (ms) on, None to lift it; False where there is no such account."""
    return await _update(
        tx,
        "UPDATE users SET shadow_banned_at = :since WHERE user_id = :user_id",
        user_id=user_id,
        since=since,
    )


async def deactivate(tx: Write, user_id: str, now: int, *, erase: bool) -> bool:
    """End the account: no password, no rights; False where there is no such account.

    A second call changes nothing, but that `erase` is remembered from the first call with it.
    """
    return await _update(
        tx,
        "UPDATE users SET password_hash = NULL, admin = FALSE,"
        " deactivated_at = coalesce(deactivated_at, CAST(:now AS BIGINT)),"
        " erased_at = coalesce(erased_at, CAST(:erased_at AS BIGINT)) WHERE user_id = :user_id",
        user_id=user_id,
        now=now,
        erased_at=now if erase else None,
    )


async def upgrade_guest(tx: Write, user_id: str, password_hash: str | None) -> bool:
    """Make a guest a full user; False where the user is no guest."""
    return await _update(
        tx,
        "UPDATE users SET guest = FALSE, password_hash = :password_hash WHERE user_id = :user_id"
        " AND guest AND deactivated_at IS NULL",
        user_id=user_id,
        password_hash=password_hash,
    )


async def _update(tx: Write, sql: LiteralString, *, user_id: str, **params: Any) -> bool:
    """Change an account, and have its followers told; False where there is none to change."""
    changed = await tx.run(sql, user_id=user_id, **params)
    if changed:
        tx.place(kinds.ACCESS, user_id)
    return changed > 0
