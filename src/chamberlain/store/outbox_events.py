"""Which events other servers must hear of: as they arrive, and after a server could not be told for a while."""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from chamberlain.store import memberships
from chamberlain.store.database import position_of
from chamberlain.store.outbox_queue import Window
from chamberlain.store.state.lines import Point
from chamberlain.store.tx import Read, Row

SPAN: Final = 5_000
"""So many positions are looked through at a time."""
_EXTREMITIES: Final = 10


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event in a room with other servers, or a member event in any room."""

    position: int
    nid: int
    event_id: str
    room_id: str
    type: str
    state_key: str | None
    sender: str
    outgoing: bool
    """Whether we tell the other servers of it; the others only matter for who is in the room."""
    replaces: str | None
    pdu: bytes


class RoomNow(msgspec.Struct, frozen=True):
    """Which servers are in a room. `windows`: those of servers kept before, where nothing was known of the room.

    `is_partial`: they are as was told with our join, and may turn out to be others while the state stays the same.
    """

    point: Point
    servers: frozenset[str]
    windows: dict[str, Window]
    is_partial: bool = False


class Arrivals(msgspec.Struct, frozen=True):
    """What arrived at positions after a cursor and up to `upto`, in order.

    `rooms`: those of its rooms whose state is not the one that was known. `is_all`: nothing has arrived since.
    """

    upto: int
    is_all: bool
    events: list[Arrival]
    rooms: dict[str, RoomNow]


class Due(msgspec.Struct, frozen=True):
    """Events that a server lacks, and the position that is reached with them."""

    position: int
    nids: tuple[int, ...]


async def list_arrivals(tx: Read, cursor: int, limit: int, known: Mapping[str, Point]) -> Arrivals:
    """Give what arrived after the cursor, at most about `limit` events. `known`: rooms with the state last seen."""
    newest = await position_of(tx)
    upto = min(newest, cursor + SPAN)
    rows = await tx.all(
        "SELECT c.position, e.nid, e.event_id, e.room_id, e.type, e.state_key, e.sender,"
        " e.outgoing AND e.rejected IS NULL AND NOT e.soft_failed, e.replaces, e.pdu, r.cur_line, r.cur_ver,"
        " r.is_partial"
        " FROM changes c JOIN events e ON e.event_id = c.ref JOIN rooms r ON r.room_id = e.room_id"
        " JOIN room_summaries s ON s.room_id = e.room_id"
        " WHERE c.position > :cursor AND c.position <= :upto AND c.kind = 'event'"
        " AND (s.joined > s.local_joined OR r.is_partial OR e.type = 'm.room.member'"
        " OR EXISTS (SELECT 1 FROM outbox_rooms o"
        " WHERE o.room_id = e.room_id AND (o.until IS NULL OR o.until > :cursor)))"
        " ORDER BY c.position LIMIT :limit",
        cursor=cursor,
        upto=upto,
        limit=limit,
    )
    if len(rows) == limit:
        upto = rows[-1][0]
    rooms: dict[str, RoomNow] = {}
    for row in rows:
        room_id, point = row[3], (row[10], row[11])
        if room_id in rooms or known.get(room_id) == point:
            continue
        servers = frozenset(await memberships.servers_in(tx, room_id))
        windows = {} if room_id in known else await _windows(tx, room_id, cursor)
        rooms[room_id] = RoomNow(point, servers, windows, bool(row[12]))
    return Arrivals(upto, upto == newest, [_arrival(row) for row in rows], rooms)


def _arrival(row: Row) -> Arrival:
    position, nid, event_id, room_id, kind, state_key, sender, outgoing, replaces, pdu = row[:10]
    return Arrival(position, nid, event_id, room_id, kind, state_key, sender, bool(outgoing), replaces, pdu)


async def _windows(tx: Read, room_id: str, cursor: int) -> dict[str, Window]:
    rows = await tx.all(
        "SELECT destination, since, until FROM outbox_rooms"
        " WHERE room_id = :room_id AND (until IS NULL OR until > :cursor)",
        room_id=room_id,
        cursor=cursor,
    )
    return {row[0]: Window(row[1], row[2]) for row in rows}


async def began_at(tx: Read, position: int) -> int | None:
    """Give when (ms) the first change after a position was made; None where it is not known any more."""
    row = await tx.one(
        "SELECT position, at FROM changes WHERE position > :position ORDER BY position LIMIT 1",
        position=position,
    )
    return None if row is None else row[1]


async def list_due(tx: Read, destination: str, after: int, upto: int, limit: int) -> list[Due]:
    """Give the first of the events at after < position ≤ upto that are for a server, in order.

    Those that its own users sent are among them, as nothing.
    """
    rows = await tx.all(
        "SELECT e.position, e.nid, e.sender FROM outbox_rooms o"
        " JOIN outbox_newest n ON n.room_id = o.room_id AND n.position > :after"
        " JOIN events e ON e.room_id = o.room_id AND e.position > :after AND e.position <= :upto"
        " WHERE o.destination = :destination AND (o.until IS NULL OR o.until > :after)"
        " AND e.position > o.since AND (o.until IS NULL OR e.position <= o.until)"
        " AND e.outgoing AND e.rejected IS NULL AND NOT e.soft_failed ORDER BY e.position LIMIT :limit",
        destination=destination,
        after=after,
        upto=upto,
        limit=limit,
    )
    return [Due(position, () if _is_of(sender, destination) else (nid,)) for position, nid, sender in rows]


async def list_rooms_due(tx: Read, destination: str, after: int, limit: int) -> list[Due]:
    """Give the rooms of which a server lacks something after a position, those that are quiet the longest first.

    Of each the events that it needs to find the rest: the forward extremities, or the last that was for it. Those that
    its own users sent it has.
    """
    rows = await tx.all(
        "SELECT o.room_id, o.until, COALESCE(o.until, n.position), r.extremities FROM outbox_rooms o"
        " JOIN outbox_newest n ON n.room_id = o.room_id AND n.position > :after"
        " JOIN rooms r ON r.room_id = o.room_id"
        " WHERE o.destination = :destination AND (o.until IS NULL OR o.until > :after)"
        " AND n.position > o.since ORDER BY COALESCE(o.until, n.position), o.room_id LIMIT :limit",
        destination=destination,
        after=after,
        limit=limit,
    )
    due = []
    for room_id, until, position, extremities in rows:
        if until is None:
            nids = [extremity[0] for extremity in msgspec.json.decode(extremities)]
        else:
            nids = [
                row[0]
                for row in await tx.all(
                    "SELECT nid FROM events WHERE room_id = :room_id AND position = :until",
                    room_id=room_id,
                    until=until,
                )
            ]
        senders = await tx.all(
            "SELECT nid, sender FROM events WHERE nid = ANY(:nids) AND position IS NOT NULL ORDER BY position DESC",
            nids=nids,
        )
        wanted = [nid for nid, sender in senders if not _is_of(sender, destination)]
        due.append(Due(position, tuple(reversed(wanted[:_EXTREMITIES]))))
    return due


async def list_pdus(tx: Read, nids: Collection[int]) -> dict[int, tuple[str, bytes]]:
    """Give the ids and the bytes of events by number."""
    rows = await tx.all("SELECT nid, event_id, pdu FROM events WHERE nid = ANY(:nids)", nids=list(nids))
    return {row[0]: (row[1], row[2]) for row in rows}


async def find_client_form(tx: Read, event_id: str) -> bytes | None:
    """Give the client form of an event, or None where it is not known."""
    client: bytes | None = await tx.value(
        "SELECT client FROM events WHERE event_id = :event_id", event_id=event_id
    )
    return client


async def list_rooms_with_others(tx: Read) -> list[str]:
    """Give the rooms in which other servers are; of one whose members are not all known that is taken for granted."""
    rows = await tx.all(
        "SELECT room_id FROM room_summaries WHERE joined > local_joined"
        " UNION SELECT room_id FROM rooms WHERE is_partial"
    )
    return [row[0] for row in rows]


def _is_of(user_id: str, server: str) -> bool:
    return user_id.partition(":")[2] == server
