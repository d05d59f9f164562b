"""Lists of other servers, as administrators look at them."""

from typing import Any, Final, Literal, LiteralString

import msgspec

from chamberlain.store.patterns import containing
from chamberlain.store.tx import Read, Row

DestinationOrder = Literal[
    "destination", "retry_last_ts", "retry_interval", "failure_ts", "last_successful_stream_ordering"
]
"""By what servers are listed; the names are Synapse's."""

_NAMES: Final = "(SELECT destination FROM destinations UNION SELECT destination FROM outbox_servers) n"
_COLUMNS: Final = (
    "SELECT n.destination, d.failing_since, COALESCE(d.retry_at - d.retry_interval, 0),"
    " COALESCE(d.retry_interval, 0), d.last_error, d.last_answered, s.sent, COALESCE(s.behind, FALSE), s.txn_id"
    f" FROM {_NAMES} LEFT JOIN destinations d ON d.destination = n.destination"
    " LEFT JOIN outbox_servers s ON s.destination = n.destination"
)
_ORDERS: Final[dict[str, LiteralString]] = {
    "destination": "n.destination",
    "retry_last_ts": "COALESCE(d.retry_at - d.retry_interval, 0)",
    "retry_interval": "COALESCE(d.retry_interval, 0)",
    "failure_ts": "COALESCE(d.failing_since, 0)",
    "last_successful_stream_ordering": "COALESCE(s.sent, 0)",
}


class DestinationRow(msgspec.Struct, frozen=True):
    """Another server. Times in ms."""

    destination: str
    failing_since: int | None
    """None while it answers."""
    last_tried: int
    """When it was asked last, of one that fails; else 0."""
    retry_interval: int
    """How long it is left alone after that; 0 while it answers."""
    last_error: str | None
    """Why it failed last; None while it answers."""
    last_answered: int | None
    """To the day."""
    sent: int | None
    """The position up to which it was told of what happened in rooms; None where there was nothing for it."""
    behind: bool
    """Whether something waits for it, or is under way to it."""
    txn_id: str | None
    """The transaction that is under way to it, or that it did not answer."""


class DestinationRoom(msgspec.Struct, frozen=True):
    """A room in which a server is or was; `position`: of the newest event that was for it."""

    room_id: str
    position: int


async def find_destination(tx: Read, destination: str) -> DestinationRow | None:
    """Give a server, or None where nothing was ever exchanged with it."""
    row = await tx.one(_COLUMNS + " WHERE n.destination = :destination", destination=destination)
    return None if row is None else _destination(row)


async def list_destinations(
    tx: Read, text: str | None, order: DestinationOrder, way: Literal["f", "b"], start: int, limit: int
) -> tuple[list[DestinationRow], int]:
    """Give a page of the servers whose name has `text` in it, and how many there are on all pages."""
    params: dict[str, Any] = {} if text is None else {"text": containing(text.lower())}
    where: LiteralString = " WHERE n.destination LIKE :text ESCAPE '!'" if params else ""
    down: LiteralString = " DESC" if way == "b" else ""
    rows = await tx.all(
        _COLUMNS
        + where
        + " ORDER BY "
        + _ORDERS[order]
        + down
        + ", n.destination LIMIT :limit OFFSET :start",
        limit=limit,
        start=start,
        **params,
    )
    total: int = await tx.value(f"SELECT count(*) FROM {_NAMES}" + where, **params)
    return [_destination(row) for row in rows], total


async def list_destination_rooms(
    tx: Read, destination: str, way: Literal["f", "b"], start: int, limit: int
) -> tuple[list[DestinationRoom], int]:
    """Give a page of the rooms of which a server was told, by id, and how many there are."""
    down: LiteralString = " DESC" if way == "b" else ""
    rooms: LiteralString = (
        " FROM outbox_rooms o JOIN outbox_newest n ON n.room_id = o.room_id"
        " WHERE o.destination = :destination AND n.position > o.since"
    )
    rows = await tx.all(
        "SELECT o.room_id, COALESCE(o.until, n.position)"
        + rooms
        + " ORDER BY o.room_id"
        + down
        + " LIMIT :limit OFFSET :start",
        destination=destination,
        limit=limit,
        start=start,
    )
    total: int = await tx.value("SELECT count(*)" + rooms, destination=destination)
    return [DestinationRoom(*row) for row in rows], total


class Untold(msgspec.Struct, frozen=True):
    """A server that lacks something; `retry_at`: until when (ms) it is left alone, 0 while it answers."""

    destination: str
    retry_at: int


async def list_untold(tx: Read, room_id: str) -> list[Untold]:
    """Give the servers in a room that have not been sent yet that our users have left it.

    There are none where this server sends nothing at all.
    """
    if await tx.value("SELECT 1 FROM followers WHERE name LIKE 'outbound:%' LIMIT 1") is None:
        return []
    last = await tx.value(
        "SELECT MAX(e.position) FROM memberships m CROSS JOIN events e WHERE m.room_id = :room_id AND m.local"
        " AND m.membership = 'leave' AND e.event_id = m.event_id AND e.sender = m.user_id AND e.outgoing",
        room_id=room_id,
    )
    if last is None:
        return []
    rows = await tx.all(
        "SELECT i.server, COALESCE(d.retry_at, 0) FROM (SELECT server FROM memberships"
        " WHERE room_id = :room_id AND membership = 'join' AND server IS NOT NULL"
        " UNION SELECT server FROM partial_room_servers WHERE room_id = :room_id) i"
        " LEFT JOIN destinations d ON d.destination = i.server AND d.failing_since IS NOT NULL"
        " LEFT JOIN outbox_servers s ON s.destination = i.server"
        " WHERE COALESCE(s.sent, 0) < :last ORDER BY i.server",
        room_id=room_id,
        last=last,
    )
    return [Untold(*row) for row in rows]


async def count_edus(tx: Read, destination: str) -> int:
    """Count the EDUs that wait for a server."""
    count: int = await tx.value(
        "SELECT count(*) FROM outbox_edus WHERE destination = :destination", destination=destination
    )
    return count


def _destination(row: Row) -> DestinationRow:
    destination, since, tried, interval, error, answered, sent, behind, txn_id = row
    return DestinationRow(destination, since, tried, interval, error, answered, sent, bool(behind), txn_id)
