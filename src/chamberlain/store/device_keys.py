"""Identity keys of devices (client-server API, Device keys)."""

from chamberlain.store import device_lists
from chamberlain.store.tx import Read, Write


async def of_users(tx: Read, user_ids: list[str]) -> list[tuple[str, str, bytes, str | None]]:
    """Give (user, device, keys, display name) for each device of these users that has keys, in order."""
    rows = await tx.all(
        "SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_keys k"
        " JOIN devices d ON d.user_id = k.user_id AND d.device_id = k.device_id"
        " WHERE k.user_id = ANY(:user_ids) ORDER BY k.user_id, k.device_id",
        user_ids=user_ids,
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def of_devices(tx: Read, user_id: str, device_ids: list[str]) -> dict[str, bytes]:
    """Give the keys of those of a user's devices that have some, by device id."""
    rows = await tx.all(
        "SELECT device_id, keys FROM device_keys WHERE user_id = :user_id AND device_id = ANY(:device_ids)",
        user_id=user_id,
        device_ids=device_ids,
    )
    return {row[0]: row[1] for row in rows}


async def put(tx: Write, user_id: str, device_id: str, keys: bytes, expected: bytes | None) -> bool:
    """Set the keys of a device; False where they were not `expected`, or where there is no such device."""
    alive = await tx.value(
        "SELECT device_id FROM devices WHERE user_id = :user_id AND device_id = :device_id FOR UPDATE",
        user_id=user_id,
        device_id=device_id,
    )
    if alive is None:
        return False
    if expected is None:
        done = await tx.run(
            "INSERT INTO device_keys (user_id, device_id, keys) VALUES (:user_id, :device_id, :keys)"
            " ON CONFLICT (user_id, device_id) DO NOTHING",
            user_id=user_id,
            device_id=device_id,
            keys=keys,
        )
    else:
        done = await tx.run(
            "UPDATE device_keys SET keys = :keys"
            " WHERE user_id = :user_id AND device_id = :device_id AND keys = :expected",
            user_id=user_id,
            device_id=device_id,
            keys=keys,
            expected=expected,
        )
    if done:
        device_lists.mark(tx, user_id, device_id)
    return bool(done)
