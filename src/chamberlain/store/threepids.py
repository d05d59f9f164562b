"""E-mail addresses and phone numbers of accounts (client-server API, Account administrative contact)."""

import msgspec

from chamberlain.store.tx import Read, Write


class Threepid(msgspec.Struct, frozen=True):
    """A third-party identifier; `medium` is `email` or `msisdn`, times are in ms."""

    medium: str
    address: str
    validated_at: int
    added_at: int


async def list_of(tx: Read, user_id: str) -> list[Threepid]:
    """Give a user's identifiers, the oldest first."""
    rows = await tx.all(
        "SELECT medium, address, validated_at, added_at FROM threepids WHERE user_id = :user_id"
        " ORDER BY added_at, medium, address",
        user_id=user_id,
    )
    return [Threepid(*row) for row in rows]


async def find_user(tx: Read, medium: str, address: str) -> str | None:
    """Give the user whose identifier this is, or None."""
    user_id: str | None = await tx.value(
        "SELECT user_id FROM threepids WHERE medium = :medium AND address = :address",
        medium=medium,
        address=address,
    )
    return user_id


async def add(tx: Write, user_id: str, threepid: Threepid) -> bool:
    """Give a user an identifier; False where another user has it. One's own is validated anew."""
    row = await tx.one(
        "INSERT INTO threepids (medium, address, user_id, validated_at, added_at)"
        " VALUES (:medium, :address, :user_id, :validated_at, :added_at)"
        " ON CONFLICT (medium, address) DO UPDATE SET validated_at = excluded.validated_at"
        " WHERE threepids.user_id = excluded.user_id RETURNING user_id",
        medium=threepid.medium,
        address=threepid.address,
        user_id=user_id,
        validated_at=threepid.validated_at,
        added_at=threepid.added_at,
    )
    return row is not None


async def remove(tx: Write, user_id: str, medium: str, address: str) -> bool:
    """Take an identifier from a user; False where it was not theirs."""
    removed = await tx.run(
        "DELETE FROM threepids WHERE medium = :medium AND address = :address AND user_id = :user_id",
        medium=medium,
        address=address,
        user_id=user_id,
    )
    return bool(removed)


async def remove_all(tx: Write, user_id: str) -> int:
    """Take every identifier from a user and give how many there were."""
    return await tx.run("DELETE FROM threepids WHERE user_id = :user_id", user_id=user_id)
