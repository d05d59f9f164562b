"""The index of words that server-side search looks into."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, LiteralString

import msgspec

from chamberlain.matrix.event_types import REDACTION
from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.store import cursors
from chamberlain.store.events import STORED_COLUMNS, StoredEvent, stored
from chamberlain.store.tx import Read, Write

FOLLOWER: Final = "search"


class Arrivals(msgspec.Struct, frozen=True):
    """What arrived after a cursor, and the cursor after it."""

    cursor: int
    upto: int
    events: list[StoredEvent]


class Hit(msgspec.Struct, frozen=True):
    """An event in which all words stand. `total`: how many such events there are, those not seen by the user too."""

    event: StoredEvent
    rank: int
    total: int


async def list_arrivals(tx: Read, types: Collection[str], limit: int) -> Arrivals | None:
    """Give the events of these types, and the redactions, among the next arrivals; None where there are no more."""
    cursor = await cursors.get(tx, FOLLOWER)
    refs = await tx.all(
        "SELECT position, ref FROM changes WHERE kind = 'event' AND position > :cursor"
        " ORDER BY position LIMIT :limit",
        cursor=cursor,
        limit=limit,
    )
    if not refs:
        return None
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events e WHERE e.event_id = ANY(:ids) AND e.type = ANY(:types)"
        " AND e.rejected IS NULL AND NOT e.soft_failed ORDER BY e.position",
        ids=[ref for _, ref in refs],
        types=[*types, REDACTION],
    )
    return Arrivals(cursor, refs[-1][0], [stored(row) for row in rows])


async def index(
    tx: Write,
    arrivals: Arrivals,
    words: Sequence[tuple[StoredEvent, Mapping[str, int]]],
    redacted: Collection[str],
) -> bool:
    """Have the words of these arrivals in the index and those of redacted events out of it.

    False, and nothing is done, where another worker has done it.
    """
    if not await cursors.move(tx, FOLLOWER, arrivals.cursor, arrivals.upto):
        return False
    rows = [row for event, counted in words for row in _rows(event.room_id, event.nid, counted)]
    await _change(tx, rows, redacted)
    return True


async def index_past(
    tx: Write, room_id: str, nid: int, words: Mapping[str, int], redacted: Collection[str]
) -> None:
    """Have the words of an event that never arrives in the index, and those of what it redacted out of it."""
    await _change(tx, _rows(room_id, nid, words), redacted)


def _rows(room_id: str, nid: int, words: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"room_id": room_id, "term": word, "nid": nid, "hits": hits} for word, hits in words.items()]


async def _change(tx: Write, rows: Sequence[dict[str, Any]], redacted: Collection[str]) -> None:
    if rows:
        await tx.many(
            "INSERT INTO search_terms (room_id, term, nid, hits) VALUES (:room_id, :term, :nid, :hits)"
            " ON CONFLICT (room_id, term, nid) DO NOTHING",
            rows,
        )
    if redacted:
        await tx.run(
            "DELETE FROM search_terms WHERE nid IN (SELECT e.nid FROM events e"
            " WHERE e.event_id = ANY(:ids) AND e.redacted_by IS NOT NULL)",
            ids=list(redacted),
        )


async def find(
    tx: Read,
    rooms: Collection[str],
    words: Collection[str],
    wanted: RoomEventFilter,
    *,
    types: Collection[str],
    by_rank: bool,
    skip: int,
    limit: int,
) -> list[Hit]:
    """Give events of these rooms and types in which all the words stand, the newest or the best ones first."""
    conditions, params = _conditions(wanted)
    order: LiteralString = "h.rank DESC, e.position DESC" if by_rank else "e.position DESC"
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS}, h.rank, COUNT(*) OVER () FROM (SELECT s.nid AS nid,"
        " CAST(SUM(s.hits) AS BIGINT) AS rank FROM search_terms s"
        " WHERE s.room_id = ANY(:rooms) AND s.term = ANY(:words) GROUP BY s.nid HAVING COUNT(*) = :many) h"
        " JOIN events e ON e.nid = h.nid"
        f" WHERE e.type = ANY(:types) AND e.redacted_by IS NULL{conditions}"
        f" ORDER BY {order} LIMIT :limit OFFSET :skip",
        rooms=list(rooms),
        words=list(words),
        many=len(words),
        types=list(types),
        skip=skip,
        limit=limit,
        **params,
    )
    return [Hit(stored(row[:-2]), row[-2], row[-1]) for row in rows]


def _conditions(wanted: RoomEventFilter) -> tuple[LiteralString, dict[str, Any]]:
    parts: LiteralString = ""
    params: dict[str, Any] = {}
    if wanted.senders is not None:
        parts += " AND e.sender = ANY(:senders)"
        params["senders"] = list(wanted.senders)
    if wanted.not_senders:
        parts += " AND e.sender <> ALL(:not_senders)"
        params["not_senders"] = list(wanted.not_senders)
    if wanted.contains_url is not None:
        parts += " AND e.contains_url" if wanted.contains_url else " AND NOT e.contains_url"
    return parts, params


async def forget_room(tx: Write, room_id: str) -> None:
    """Have nothing of a room in the index: for one that is purged."""
    await tx.run("DELETE FROM search_terms WHERE room_id = :room_id", room_id=room_id)
