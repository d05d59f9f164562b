"""Devices: what a user is logged in with (client-server API, Device management)."""

from collections.abc import Sequence

from chamberlain.store import device_lists, kinds
from chamberlain.store.tx import Read, Write

DeviceRow = tuple[str, str | None, int]
"""Device id, display name, when it was made (ms)."""


async def upsert(tx: Write, user_id: str, device_id: str, display_name: str | None, now: int) -> bool:
    """Make sure that the device exists; True if it is new. An old one keeps its name and its keys."""
    made = await tx.run(
        "INSERT INTO devices (user_id, device_id, display_name, created_at)"
        " VALUES (:user_id, :device_id, :display_name, :now) ON CONFLICT (user_id, device_id) DO NOTHING",
        user_id=user_id,
        device_id=device_id,
        display_name=display_name,
        now=now,
    )
    if made:
        device_lists.mark(tx, user_id, device_id)
    return bool(made)


async def add_new(tx: Write, added: Sequence[tuple[str, DeviceRow]]) -> None:
    """Add devices to their users, all as one set; none may exist."""
    await tx.many(
        "INSERT INTO devices (user_id, device_id, display_name, created_at)"
        " VALUES (:user_id, :device_id, :display_name, :created_at)",
        [
            {
                "user_id": user_id,
                "device_id": device_id,
                "display_name": display_name,
                "created_at": created_at,
            }
            for user_id, (device_id, display_name, created_at) in added
        ],
    )
    for user_id, (device_id, _, _) in added:
        device_lists.mark(tx, user_id, device_id)


async def get(tx: Read, user_id: str, device_id: str) -> DeviceRow | None:
    """Give a device, or None."""
    row = await tx.one(
        "SELECT device_id, display_name, created_at FROM devices"
        " WHERE user_id = :user_id AND device_id = :device_id",
        user_id=user_id,
        device_id=device_id,
    )
    return None if row is None else (row[0], row[1], row[2])


async def list_of(tx: Read, user_id: str) -> list[DeviceRow]:
    """Give the devices of a user by their ids."""
    rows = await tx.all(
        "SELECT device_id, display_name, created_at FROM devices WHERE user_id = :user_id ORDER BY device_id",
        user_id=user_id,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def rename(tx: Write, user_id: str, device_id: str, display_name: str | None) -> bool:
    """Give the device another name; False when there is no such device."""
    changed = await tx.run(
        "UPDATE devices SET display_name = :display_name WHERE user_id = :user_id AND device_id = :device_id",
        user_id=user_id,
        device_id=device_id,
        display_name=display_name,
    )
    if changed:
        device_lists.mark(tx, user_id, device_id)
    return bool(changed)


async def delete_many(tx: Write, user_id: str, device_ids: list[str]) -> list[str]:
    """Delete devices with their tokens, keys and waiting messages; give the ids of those that existed."""
    rows = await tx.all(
        "DELETE FROM devices WHERE user_id = :user_id AND device_id = ANY(:device_ids) RETURNING device_id",
        user_id=user_id,
        device_ids=device_ids,
    )
    await _forget(tx, user_id, device_ids)
    deleted = sorted(row[0] for row in rows)
    for device_id in deleted:
        tx.place(kinds.ACCESS, user_id, device_id)
        device_lists.mark(tx, user_id, device_id)
    return deleted


async def _forget(tx: Write, user_id: str, device_ids: list[str]) -> None:
    for sql in (
        "DELETE FROM access_tokens WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM refresh_tokens WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM device_keys WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM one_time_keys WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM fallback_keys WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM to_device_messages WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        "DELETE FROM to_device_txns WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
    ):
        await tx.run(sql, user_id=user_id, device_ids=device_ids)


async def delete_all(tx: Write, user_id: str, but: str | None = None) -> list[str]:
    """Delete every device of a user, but one where it is named; give the ids of those that existed."""
    device_ids = [device_id for device_id, _, _ in await list_of(tx, user_id) if device_id != but]
    return await delete_many(tx, user_id, device_ids)
