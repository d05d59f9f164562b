"""Deleting all of a room: it is closed first, so that nothing leads to it, and then emptied a little at a time."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, LiteralString

import msgspec

from chamberlain.store import entering, kinds, purged
from chamberlain.store.state import drop_room
from chamberlain.store.tx import Read, Write

ROWS: Final = 1_000
"""About so many rows go in one transaction."""
EVENTS: Final = 200
"""So many events, each with what it cites."""
MEMBERS: Final = 100
"""So many of our users, each with their notifications."""
_IN_ROOM: Final = ("join", "invite", "knock")
_NOTE_LEFT: Final = (
    "INSERT INTO purged_memberships (user_id, room_id, position) VALUES (:user_id, :room_id, :position)"
    " ON CONFLICT (user_id, room_id) DO UPDATE SET position = excluded.position"
)
_CLOSING: Final[tuple[LiteralString, ...]] = (
    "DELETE FROM rooms WHERE room_id = :room_id",
    "DELETE FROM room_summaries WHERE room_id = :room_id",
    "DELETE FROM published_rooms WHERE room_id = :room_id",
    "DELETE FROM partial_rooms WHERE room_id = :room_id",
    "DELETE FROM server_notice_rooms WHERE room_id = :room_id",
)

Delete = Callable[[Write, str], Awaitable[int]]
"""Deletes some rows of a room and gives how many; 0: there are none."""


class Extent(msgspec.Struct, frozen=True):
    """How much there is of a room."""

    events: int
    members: int
    """Everyone who ever was something in it."""
    aliases: int
    servers: int
    """Other servers with users joined to it."""


async def extent_of(tx: Read, room_id: str) -> Extent:
    """Give how much there is of a room."""
    row = await tx.one(
        "SELECT (SELECT COUNT(*) FROM events WHERE room_id = :room_id),"
        " (SELECT COUNT(*) FROM memberships WHERE room_id = :room_id),"
        " (SELECT COUNT(*) FROM room_aliases WHERE room_id = :room_id),"
        " (SELECT COUNT(DISTINCT server) FROM memberships WHERE room_id = :room_id AND membership = 'join'"
        " AND server IS NOT NULL)",
        room_id=room_id,
    )
    assert row is not None
    return Extent(*row)


async def is_anything_left(tx: Read, room_id: str) -> bool:
    """Say whether this server knows the room, has users invited to it, or has begun to purge it."""
    found = await tx.value(
        "SELECT 1 FROM rooms WHERE room_id = :room_id UNION ALL SELECT 1 FROM memberships"
        " WHERE room_id = :room_id AND local LIMIT 1",
        room_id=room_id,
    )
    return found is not None or await purged.is_under_way(tx, room_id)


class Held(msgspec.Struct, frozen=True):
    """What keeps a room from being closed."""

    users: list[str]
    """The first of our users who are joined, invited or knocking."""
    is_entered: bool
    """Whether a user of ours is being brought into it."""


async def held_by(tx: Read, room_id: str, now: int) -> Held:
    """Give what keeps a room from being closed now (ms)."""
    entered = await entering.find_version(tx, room_id, now) is not None
    return Held(await _still_in(tx, room_id), entered)


async def _still_in(tx: Read, room_id: str) -> list[str]:
    rows = await tx.all(
        "SELECT user_id FROM memberships WHERE room_id = :room_id AND local AND membership = ANY(:in_room)"
        " ORDER BY user_id LIMIT :rows",
        room_id=room_id,
        in_room=list(_IN_ROOM),
        rows=ROWS,
    )
    return [row[0] for row in rows]


async def close(tx: Write, room_id: str, *, evict: bool) -> bool:
    """Nothing leads to the room any more, and it is being purged; False where users of ours are still in it.

    With `evict` these are out of it without any event, some in each call.
    """
    await tx.value("SELECT head_seq FROM rooms WHERE room_id = :room_id FOR UPDATE", room_id=room_id)
    inside = await _still_in(tx, room_id)
    if inside and evict:
        await tx.run(
            "DELETE FROM memberships WHERE room_id = :room_id AND user_id = ANY(:users)",
            room_id=room_id,
            users=inside,
        )
        for user_id in inside:
            tx.place(kinds.MEMBERSHIP, user_id, room_id).write(_NOTE_LEFT, user_id=user_id, room_id=room_id)
    if inside:
        return False
    await purged.begin(tx, room_id)
    for sql in _CLOSING:
        await tx.run(sql, room_id=room_id)
    tx.place(kinds.ROOM, room_id, "purge")
    return True


async def _members(tx: Write, room_id: str) -> int:
    """Memberships of our users, with what has notified them; their clients will be told that they are out."""
    rows = await tx.all(
        "SELECT user_id, position, forgotten FROM memberships WHERE room_id = :room_id AND local LIMIT :members",
        room_id=room_id,
        members=MEMBERS,
    )
    users = [row[0] for row in rows]
    gone = await tx.run(
        "DELETE FROM notifications WHERE (user_id, event_id) IN (SELECT user_id, event_id FROM notifications"
        " WHERE user_id = ANY(:users) AND room_id = :room_id LIMIT :rows)"
        " AND user_id = ANY(:users) AND room_id = :room_id",
        users=users,
        room_id=room_id,
        rows=ROWS,
    )
    if gone == ROWS:
        return gone
    left = [
        {"user_id": user_id, "room_id": room_id, "position": position}
        for user_id, position, forgotten in rows
        if not forgotten
    ]
    await tx.many(_NOTE_LEFT, left)
    return gone + await tx.run(
        "DELETE FROM memberships WHERE room_id = :room_id AND user_id = ANY(:users)",
        room_id=room_id,
        users=users,
    )


async def _events(tx: Write, room_id: str) -> int:
    """The newest events, so that those go last that all others cite."""
    rows = await tx.all(
        "SELECT nid, event_id, sender, type, txn_device, txn_id FROM events WHERE room_id = :room_id"
        " ORDER BY depth DESC, position DESC LIMIT :events",
        room_id=room_id,
        events=EVENTS,
    )
    nids = [row[0] for row in rows]
    await tx.run("DELETE FROM event_auth WHERE event = ANY(:nids)", nids=nids)
    await tx.run("DELETE FROM event_auth WHERE auth = ANY(:nids)", nids=nids)
    await tx.many(
        "DELETE FROM event_txns WHERE user_id = :user_id AND device = :device AND path = :path"
        " AND txn_id = :txn_id AND event_id = :event_id",
        [
            {"user_id": sender, "device": device, "path": path, "txn_id": txn_id, "event_id": event_id}
            for _, event_id, sender, kind, device, txn_id in rows
            if device is not None and txn_id is not None
            for path in (f"{room_id}/{kind}", f"{room_id}/redact")
        ],
    )
    return await tx.run("DELETE FROM events WHERE nid = ANY(:nids)", nids=nids)


async def _state(tx: Write, room_id: str) -> int:
    return await drop_room(tx, room_id, ROWS)


def _rows_of(table: LiteralString, key: LiteralString, narrow: LiteralString = "") -> Delete:
    """What deletes rows of a table by its `key`, which is unique within the room: the first ones in its order."""
    names: list[LiteralString] = key.split(", ")
    values: LiteralString = ", ".join([f":{name}" for name in names])
    of_room: LiteralString = f"WHERE room_id = :room_id{narrow}"
    last: LiteralString = f"SELECT {key} FROM {table} {of_room} ORDER BY {key} LIMIT 1 OFFSET :rows"
    whole: LiteralString = f"DELETE FROM {table} {of_room}"
    first: LiteralString = f"{whole} AND ({key}) <= ({values})"

    async def delete(tx: Write, room_id: str) -> int:
        row = await tx.one(last, room_id=room_id, rows=ROWS - 1)
        if row is None:
            return await tx.run(whole, room_id=room_id)
        return await tx.run(first, **dict(zip(names, row, strict=True)) | {"room_id": room_id})

    return delete


async def delete_some(tx: Write, room_id: str, part: str) -> int:
    """Delete some of one of the `PARTS` of a closed room, and give how many rows went; 0: there are none.

    Nothing goes of a room that is not being purged: it has come in anew.
    """
    return await PARTS[part](tx, room_id) if await purged.is_under_way(tx, room_id) else 0


PARTS: Final[Mapping[str, Delete]] = {
    "members": _members,
    "memberships": _rows_of("memberships", "user_id"),
    "outside_memberships": _rows_of("outside_memberships", "user_id"),
    "room_aliases": _rows_of("room_aliases", "alias"),
    "account_data": _rows_of("account_data", "user_id, type", " AND room_id <> ''"),
    "receipts": _rows_of("receipts", "user_id, type, thread"),
    "reports": _rows_of("reports", "report_id"),
    "staged_pdus": _rows_of("staged_pdus", "position"),
    "outbox_newest": _rows_of("outbox_newest", "room_id"),
    "outbox_rooms": _rows_of("outbox_rooms", "destination"),
    "partial_room_servers": _rows_of("partial_room_servers", "server"),
    "entering_rooms": _rows_of("entering_rooms", "room_id"),
    "backward_edges": _rows_of("backward_edges", "missing, referrer"),
    "waiting_redactions": _rows_of("waiting_redactions", "target, redaction"),
    "search_terms": _rows_of("search_terms", "term, nid"),
    "room_positions": _rows_of("room_positions", "position"),
    "state": _state,
    "events": _events,
}
"""What there is of a closed room, in the order in which it goes: each can be found without those before it."""
