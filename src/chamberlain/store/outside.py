"""What our users are in rooms that this server is not in: invited, or knocking."""

from collections.abc import Collection
from typing import Any, Final, LiteralString

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.versions import get_room_version
from chamberlain.store import kinds, purged
from chamberlain.store.commit import INSERT_EVENT, UPSERT_MEMBERSHIP
from chamberlain.store.rooms import rooms_with_ours
from chamberlain.store.tx import Read, Write

_SET_MEMBERSHIP: Final[LiteralString] = f"{UPSERT_MEMBERSHIP} WHERE memberships.membership <> 'join'"


class Pending(msgspec.Struct, frozen=True):
    """An invitation or a knock that is not answered yet."""

    event: Event
    server: str
    """The one that told us of the invitation, or took the knock."""


class Known(msgspec.Struct, frozen=True):
    """What there is to know of the room meanwhile."""

    version: str
    server: str
    stripped: bytes
    """JSON list of stripped state events."""


async def put(tx: Write, row: dict[str, Any], membership: dict[str, Any], known: Known | None) -> bool:
    """The user's membership is what the event says; False where they would wait outside of a room that ours are in.

    `row`: every column of `events` but the position. `known` None: there is nothing to wait for any more.
    Harmless when repeated; who has joined stays so.

    Raises:
        BeingPurged: what was here of the room before is not gone yet.
    """
    room_id, user_id, event_id = row["room_id"], row["state_key"], row["event_id"]
    if known is not None and await rooms_with_ours(tx, (room_id,)):
        return False
    if known is not None:
        await purged.times(tx, room_id)
    previous = await tx.value(
        "SELECT event_id FROM memberships WHERE room_id = :room_id AND user_id = :user_id",
        room_id=room_id,
        user_id=user_id,
    )
    if previous == event_id:
        return True
    await tx.run(
        f"{INSERT_EVENT} ON CONFLICT (event_id) DO NOTHING", **row | {"position": None, "replaces": previous}
    )
    tx.place(kinds.MEMBERSHIP, user_id, room_id).write(_SET_MEMBERSHIP, **membership)
    if known is None:
        await forget(tx, room_id, user_id)
    else:
        await tx.run(
            "INSERT INTO outside_memberships (room_id, user_id, event_id, version, server, stripped)"
            " VALUES (:room_id, :user_id, :event_id, :version, :server, :stripped)"
            " ON CONFLICT (room_id, user_id) DO UPDATE SET event_id = excluded.event_id,"
            " version = excluded.version, server = excluded.server, stripped = excluded.stripped",
            room_id=room_id,
            user_id=user_id,
            event_id=event_id,
            version=known.version,
            server=known.server,
            stripped=known.stripped,
        )
    return True


async def forget(tx: Write, room_id: str, user_id: str) -> None:
    """The user waits for nothing from outside any more."""
    await tx.run(
        "DELETE FROM outside_memberships WHERE room_id = :room_id AND user_id = :user_id",
        room_id=room_id,
        user_id=user_id,
    )


async def find(tx: Read, room_id: str, user_id: str) -> Pending | None:
    """Give the invitation or the knock that the user waits with, or None."""
    row = await tx.one(
        "SELECT e.pdu, o.version, e.event_id, o.server FROM outside_memberships o"
        " JOIN memberships m ON m.room_id = o.room_id AND m.user_id = o.user_id AND m.event_id = o.event_id"
        " JOIN events e ON e.event_id = o.event_id"
        " WHERE o.room_id = :room_id AND o.user_id = :user_id",
        room_id=room_id,
        user_id=user_id,
    )
    if row is None:
        return None
    return Pending(Event.load(row[0], get_room_version(row[1]), row[2], room_id), row[3])


async def find_version(tx: Read, room_id: str) -> str | None:
    """Give the version of a room that any of our users waits outside of, or None."""
    version: str | None = await tx.value(
        "SELECT version FROM outside_memberships WHERE room_id = :room_id LIMIT 1", room_id=room_id
    )
    return version


async def stripped_of(tx: Read, user_id: str, room_ids: Collection[str]) -> dict[str, bytes]:
    """Give what the user was told of these rooms, JSON lists by the id of the invitation's or knock's event."""
    rows = await tx.all(
        "SELECT event_id, stripped FROM outside_memberships WHERE room_id = ANY(:rooms) AND user_id = :user_id",
        rooms=list(room_ids),
        user_id=user_id,
    )
    return {row[0]: bytes(row[1]) for row in rows}
