"""Messages to devices, kept until they were delivered (client-server API, Send-to-device messaging)."""

from collections.abc import Sequence
from typing import NamedTuple

from chamberlain.store import kinds, outbox
from chamberlain.store.tx import Read, Write

ALL_DEVICES = "*"


class Sending(NamedTuple):
    """One request to send: by whom, and (user, device or `*`, message) for each recipient.

    `edus`: (server, EDU) with what is for users of other servers.
    """

    sender: str
    device_id: str
    event_type: str
    txn_id: str
    messages: list[tuple[str, str, bytes]]
    edus: Sequence[tuple[str, bytes]] = ()


async def send(tx: Write, sending: Sending, now: int) -> bool:
    """Put messages into the queues of devices that exist; False when this transaction was done before."""
    new = await tx.run(
        "INSERT INTO to_device_txns (user_id, device_id, event_type, txn_id, at)"
        " VALUES (:sender, :device_id, :event_type, :txn_id, :now)"
        " ON CONFLICT (user_id, device_id, event_type, txn_id) DO NOTHING",
        sender=sending.sender,
        device_id=sending.device_id,
        event_type=sending.event_type,
        txn_id=sending.txn_id,
        now=now,
    )
    if new:
        await deliver(tx, sending.messages)
        for server, edu in sending.edus:
            outbox.add_edu(tx, server, edu)
    return bool(new)


async def send_all(tx: Write, sendings: Sequence[Sending], now: int) -> None:
    """Put messages into the queues of devices that exist, but for those of transactions that were done before."""
    for sending in sendings:
        await send(tx, sending, now)


async def deliver(tx: Write, messages: list[tuple[str, str, bytes]]) -> None:
    """Put messages into the queues of devices that exist."""
    if not messages:
        return
    rows = await tx.all(
        "SELECT user_id, device_id FROM devices WHERE user_id = ANY(:user_ids) ORDER BY user_id, device_id",
        user_ids=sorted({user_id for user_id, _, _ in messages}),
    )
    devices: dict[str, dict[str, None]] = {}
    for user_id, device_id in rows:
        devices.setdefault(user_id, {})[device_id] = None
    for user_id, wanted, message in messages:
        theirs = devices.get(user_id, {})
        for device_id in theirs if wanted == ALL_DEVICES else (wanted,) if wanted in theirs else ():
            tx.place(kinds.TO_DEVICE, user_id, device_id).write(
                "INSERT INTO to_device_messages (user_id, device_id, position, message)"
                " VALUES (:user_id, :device_id, :position, :message)",
                user_id=user_id,
                device_id=device_id,
                message=message,
            )


async def pending(
    tx: Read, user_id: str, device_id: str, upto: int, limit: int = 100
) -> list[tuple[int, bytes]]:
    """Give the oldest (position, message) that wait for a device, none newer than the position `upto`."""
    rows = await tx.all(
        "SELECT position, message FROM to_device_messages WHERE user_id = :user_id AND device_id = :device_id"
        " AND position <= :upto ORDER BY position LIMIT :limit",
        user_id=user_id,
        device_id=device_id,
        upto=upto,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


async def acknowledge(tx: Write, user_id: str, device_id: str, upto: int) -> int:
    """Forget the messages up to a position, which the device has; give how many there were."""
    return await tx.run(
        "DELETE FROM to_device_messages"
        " WHERE user_id = :user_id AND device_id = :device_id AND position <= :upto",
        user_id=user_id,
        device_id=device_id,
        upto=upto,
    )


async def forget_txns(tx: Write, before: int) -> int:
    """Forget transaction ids from before a time (ms); give how many there were."""
    return await tx.run("DELETE FROM to_device_txns WHERE at < :before", before=before)
