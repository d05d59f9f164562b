"""From where accounts have been used: address, client and time (client-server API, Server Administration)."""

from collections.abc import Sequence

import msgspec

from chamberlain.store.tx import Read, Write


class Connection(msgspec.Struct, frozen=True, order=True):
    """One device at one address with one client; `last_seen` in ms. `device_id` is empty where there is none."""

    user_id: str
    device_id: str
    ip: str
    user_agent: str
    last_seen: int


async def record(tx: Write, seen: Sequence[Connection]) -> None:
    """Keep the newest time of each; none may stand twice in `seen`."""
    await tx.many(
        "INSERT INTO connections (user_id, device_id, ip, user_agent, last_seen)"
        " VALUES (:user_id, :device_id, :ip, :user_agent, :last_seen)"
        " ON CONFLICT (user_id, device_id, ip, user_agent) DO UPDATE SET last_seen = excluded.last_seen",
        [msgspec.structs.asdict(connection) for connection in seen],
    )


async def list_of(tx: Read, user_id: str, limit: int) -> list[Connection]:
    """Give at most `limit` connections of a user, the latest first."""
    rows = await tx.all(
        "SELECT user_id, device_id, ip, user_agent, last_seen FROM connections WHERE user_id = :user_id"
        " ORDER BY last_seen DESC, device_id, ip, user_agent LIMIT :limit",
        user_id=user_id,
        limit=limit,
    )
    return [Connection(*row) for row in rows]


async def list_with_devices(tx: Read, user_id: str, limit: int) -> tuple[list[str], list[Connection]]:
    """Give the devices of a user, and at most `limit` connections, the latest first; one query for both."""
    rows = await tx.all(
        "SELECT device_id, NULL, NULL, NULL FROM devices WHERE user_id = :user_id UNION ALL SELECT * FROM"
        " (SELECT device_id, ip, user_agent, last_seen FROM connections WHERE user_id = :user_id"
        " ORDER BY last_seen DESC, device_id, ip, user_agent LIMIT :limit) AS latest",
        user_id=user_id,
        limit=limit,
    )
    devices = [row[0] for row in rows if row[3] is None]
    return devices, [Connection(user_id, *row) for row in rows if row[3] is not None]


async def forget_before(tx: Write, before: int) -> int:
    """Forget what was last seen before that time (ms) and give how many there were."""
    return await tx.run("DELETE FROM connections WHERE last_seen < :before", before=before)


async def forget_beyond(tx: Write, most: int) -> int:
    """Forget all but the latest `most` connections of each user and give how many there were."""
    return await tx.run(
        "DELETE FROM connections WHERE (user_id, device_id, ip, user_agent) IN"
        " (SELECT user_id, device_id, ip, user_agent FROM"
        " (SELECT user_id, device_id, ip, user_agent, row_number() OVER"
        " (PARTITION BY user_id ORDER BY last_seen DESC, device_id, ip, user_agent) AS place FROM connections"
        " WHERE user_id IN (SELECT user_id FROM connections GROUP BY user_id HAVING count(*) > :most)) AS ranked"
        " WHERE place > :most)",
        most=most,
    )


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete the connections of a user."""
    await tx.run("DELETE FROM connections WHERE user_id = :user_id", user_id=user_id)
