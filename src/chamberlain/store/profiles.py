"""Profiles: fields with JSON values that everybody may see (client-server API, Profiles)."""

from collections.abc import Sequence

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


async def get(tx: Read, user_id: str) -> dict[str, bytes]:
    """Give every field of a user, each as JSON; none for an unknown user."""
    rows = await tx.all(
        "SELECT field, value FROM profiles WHERE user_id = :user_id ORDER BY field", user_id=user_id
    )
    return {row[0]: row[1] for row in rows}


async def get_many(tx: Read, user_ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, bytes]]:
    """Give these fields, each as JSON, of those of the users who have them."""
    rows = await tx.all(
        "SELECT user_id, field, value FROM profiles WHERE user_id = ANY(:user_ids) AND field = ANY(:fields)",
        user_ids=list(user_ids),
        fields=list(fields),
    )
    found: dict[str, dict[str, bytes]] = {}
    for user_id, field, value in rows:
        found.setdefault(user_id, {})[field] = value
    return found


async def create(tx: Write, fields: Sequence[tuple[str, str, bytes]]) -> None:
    """Give new accounts their first fields, as (user, field, JSON); nobody has to hear of them yet."""
    await tx.many(
        "INSERT INTO profiles (user_id, field, value) VALUES (:user_id, :field, :value)",
        [{"user_id": user_id, "field": field, "value": value} for user_id, field, value in fields],
    )


async def put(tx: Write, user_id: str, field: str, value: bytes, most_bytes: int) -> bool:
    """Set a field; False, and nothing is changed, where the whole profile would exceed `most_bytes`."""
    await tx.value("SELECT user_id FROM users WHERE user_id = :user_id FOR UPDATE", user_id=user_id)
    profile = await get(tx, user_id)
    if profile.get(field) == value:
        return True
    profile[field] = value
    # Quotes and a colon for each name, a comma between two fields, the braces.
    if sum(len(name.encode()) + len(json) + 4 for name, json in profile.items()) + 1 > most_bytes:
        return False
    await tx.run(
        "INSERT INTO profiles (user_id, field, value) VALUES (:user_id, :field, :value)"
        " ON CONFLICT (user_id, field) DO UPDATE SET value = excluded.value",
        user_id=user_id,
        field=field,
        value=value,
    )
    tx.place(kinds.PROFILE, user_id, field)
    return True


async def delete(tx: Write, user_id: str, field: str) -> bool:
    """Delete a field; False where there is none."""
    deleted = await tx.run(
        "DELETE FROM profiles WHERE user_id = :user_id AND field = :field", user_id=user_id, field=field
    )
    if deleted:
        tx.place(kinds.PROFILE, user_id, field)
    return bool(deleted)


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete every field of a user."""
    rows = await tx.all("DELETE FROM profiles WHERE user_id = :user_id RETURNING field", user_id=user_id)
    for field in sorted(row[0] for row in rows):
        tx.place(kinds.PROFILE, user_id, field)


async def seen_in_rooms(tx: Read, user_id: str) -> tuple[str | None, str | None] | None:
    """Give (display name, avatar) of the newest membership of a user, a remote one too; None without any."""
    row = await tx.one(
        "SELECT display_name, avatar_url FROM memberships WHERE user_id = :user_id AND membership = 'join'"
        " ORDER BY position DESC LIMIT 1",
        user_id=user_id,
    )
    return None if row is None else (row[0], row[1])
