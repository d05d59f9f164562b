"""What other servers have been told of the devices of this server's users (server-server API, Device Management)."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from chamberlain.store import cursors, outbox
from chamberlain.store.tx import Read, Stale, Write

NAME: Final = "device lists of other servers"
"""The follower of the change stream that tells them."""


class ListChange(msgspec.Struct, frozen=True):
    """A row of the change stream: a device list that changed (`ref`: the device or None), or a membership."""

    position: int
    kind: str
    user_id: str
    ref: str | None


class Telling(msgspec.Struct, frozen=True):
    """An EDU, to be sent to these servers; `key` as in `outbox.add_edu`."""

    edu: bytes
    key: str
    servers: Collection[str]


async def latest(tx: Read, user_id: str) -> int:
    """Give the stream id of the latest update of a user; 0 where there was none."""
    stream_id: int | None = await tx.value(
        "SELECT stream_id FROM device_list_streams WHERE user_id = :user_id", user_id=user_id
    )
    return stream_id or 0


async def list_changes(tx: Read, limit: int) -> tuple[int, list[ListChange]]:
    """Give how far other servers have been told, and the first changes after that."""
    told = await cursors.get(tx, NAME)
    rows = await tx.all(
        "SELECT position, kind, entity, ref FROM changes WHERE kind IN ('device_list', 'membership')"
        " AND position > :told ORDER BY position LIMIT :limit",
        told=told,
        limit=limit,
    )
    return told, [ListChange(*row) for row in rows]


async def add(tx: Write, tellings: Sequence[Telling]) -> None:
    """Put EDUs into the queues of servers."""
    for telling in tellings:
        outbox.add_edu_for_all(tx, telling.servers, telling.edu, telling.key)


async def finish(
    tx: Write, before: int, upto: int, tellings: Sequence[Telling], streams: dict[str, int]
) -> None:
    """Put EDUs into the queues of servers: with them they have been told of all changes up to a position.

    Raises:
        Stale: another worker has done so meanwhile.
    """
    if not await cursors.move(tx, NAME, before, upto):
        raise Stale
    await tx.many(
        "INSERT INTO device_list_streams (user_id, stream_id) VALUES (:user_id, :stream_id)"
        " ON CONFLICT (user_id) DO UPDATE SET stream_id = excluded.stream_id",
        [{"user_id": user_id, "stream_id": stream_id} for user_id, stream_id in sorted(streams.items())],
    )
    await add(tx, tellings)
