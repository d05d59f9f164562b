"""A room's history by (depth, position): pages of it, and events by time."""

from typing import Any, Final, Literal, LiteralString, TypeAlias

import msgspec

from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.store.events import STORED_COLUMNS, StoredEvent, stored
from chamberlain.store.tx import Read

Place: TypeAlias = tuple[int, int]
"""A place in a room's history: just before the event with this (depth, position), or where it would be."""

BEGINNING: Final[Place] = (0, -(10**18 - 1))
END: Final[Place] = (10**18 - 1, 10**18 - 1)
SCANNED: Final = 5_000
"""How many events one page with a filter looks at."""
_LATELY: Final = 20

_FORWARDS: LiteralString = "ORDER BY e.depth, e.position"
_BACKWARDS: LiteralString = "ORDER BY e.depth DESC, e.position DESC"
_TIMELINE: LiteralString = "e.position IS NOT NULL AND e.rejected IS NULL AND NOT e.soft_failed"


class Page(msgspec.Struct, frozen=True):
    """Events in the order they were asked for; `more`: where to go on, None where there is nothing more."""

    events: list[StoredEvent]
    more: Place | None


def place_before(event: StoredEvent) -> Place:
    """The place just before an event of the timeline."""
    return event.depth, event.position or 0


def place_after(event: StoredEvent) -> Place:
    """The place just after an event of the timeline."""
    return event.depth, (event.position or 0) + 1


def beyond(event: StoredEvent, *, backwards: bool) -> Place:
    """Where to go on after an event."""
    return place_before(event) if backwards else place_after(event)


async def place_at(tx: Read, room_id: str, position: int) -> Place:
    """Give the place after all that had arrived up to a position of the change stream."""
    # What arrives is hardly ever lower than what came before it, and then not by much.
    rows = await tx.all(
        "SELECT depth FROM events e WHERE room_id = :room_id AND position <= :position"
        f" AND {_TIMELINE} ORDER BY position DESC LIMIT :lately",
        room_id=room_id,
        position=position,
        lately=_LATELY,
    )
    if rows:
        return max(row[0] for row in rows), position + 1
    # Nothing had: before what came first there may be history that is not here yet.
    return await place_of_next(tx, room_id, position)


async def place_of_next(tx: Read, room_id: str, position: int) -> Place:
    """Give the place just before the first event that arrived after a position, the beginning where none did."""
    row = await tx.one(
        "SELECT e.depth, e.position FROM events e WHERE e.room_id = :room_id AND e.position > :position"
        f" AND {_TIMELINE} ORDER BY e.position LIMIT 1",
        room_id=room_id,
        position=position,
    )
    return BEGINNING if row is None else (row[0], row[1])


async def page(
    tx: Read,
    room_id: str,
    low: Place,
    high: Place,
    *,
    backwards: bool,
    limit: int,
    wanted: RoomEventFilter | None = None,
    upto: int = END[1],
) -> Page:
    """Give at most `limit` events (1 or more) between two places, from `high` down or from `low` up.

    `upto`: the last position of the change stream at which they arrived.
    With a filter it looks at `SCANNED` events at most, so that a page may be empty and yet not the last one.
    """
    conditions, params = ("", {}) if wanted is None else _conditions(wanted)
    edge = None
    if conditions:
        edge = await _edge(tx, room_id, low, high, backwards=backwards)
        if edge is not None and backwards:
            low = (edge[0], edge[1] + 1)
        elif edge is not None:
            high = edge
    order = _BACKWARDS if backwards else _FORWARDS
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events e WHERE e.room_id = :room_id"
        " AND (e.depth, e.position) >= (:low_depth, :low_order)"
        " AND (e.depth, e.position) < (:high_depth, :high_order) AND e.position + 0 <= :upto"
        f" AND {_TIMELINE}{conditions}"
        f" {order} LIMIT :limit",
        room_id=room_id,
        low_depth=low[0],
        low_order=low[1],
        high_depth=high[0],
        high_order=high[1],
        upto=upto,
        limit=limit + 1,
        **params,
    )
    events = [stored(row) for row in rows[:limit]]
    if len(rows) > limit:
        more = beyond(events[-1], backwards=backwards)
    elif edge is not None:
        more = low if backwards else high
    else:
        more = None
    return Page(events, more)


async def _edge(tx: Read, room_id: str, low: Place, high: Place, *, backwards: bool) -> Place | None:
    """The event just beyond those that a filtered page looks at; only the index is read."""
    order = _BACKWARDS if backwards else _FORWARDS
    row = await tx.one(
        "SELECT e.depth, e.position FROM events e WHERE e.room_id = :room_id"
        " AND (e.depth, e.position) >= (:low_depth, :low_order)"
        " AND (e.depth, e.position) < (:high_depth, :high_order) AND e.position IS NOT NULL"
        f" {order} LIMIT 1 OFFSET :scanned",
        room_id=room_id,
        low_depth=low[0],
        low_order=low[1],
        high_depth=high[0],
        high_order=high[1],
        scanned=SCANNED,
    )
    return None if row is None else (row[0], row[1])


def _conditions(wanted: RoomEventFilter) -> tuple[LiteralString, dict[str, Any]]:
    """The part of a filter that the database can judge; types with `*` are left to the caller."""
    parts: list[LiteralString] = []
    params: dict[str, Any] = {}
    if wanted.types is not None and not any("*" in name for name in wanted.types):
        parts.append(" AND e.type = ANY(:types)")
        params["types"] = list(wanted.types)
    not_types = [name for name in wanted.not_types or () if "*" not in name]
    if not_types:
        parts.append(" AND e.type <> ALL(:not_types)")
        params["not_types"] = not_types
    if wanted.senders is not None:
        parts.append(" AND e.sender = ANY(:senders)")
        params["senders"] = list(wanted.senders)
    if wanted.not_senders:
        parts.append(" AND e.sender <> ALL(:not_senders)")
        params["not_senders"] = list(wanted.not_senders)
    if wanted.contains_url is not None:
        parts.append(" AND e.contains_url" if wanted.contains_url else " AND NOT e.contains_url")
    if wanted.related_by_rel_types is not None or wanted.related_by_senders is not None:
        parts.append(_related(wanted, params))
    if not parts and not wanted.is_open:
        parts.append(" AND TRUE")
    return "".join(parts), params


def _related(wanted: RoomEventFilter, params: dict[str, Any]) -> LiteralString:
    related: LiteralString = (
        " AND EXISTS (SELECT 1 FROM events r WHERE r.relates_to = e.event_id AND r.room_id = e.room_id"
        " AND r.rejected IS NULL AND NOT r.soft_failed"
    )
    if wanted.related_by_rel_types is not None:
        related += " AND r.rel_type = ANY(:rel_types)"
        params["rel_types"] = list(wanted.related_by_rel_types)
    if wanted.related_by_senders is not None:
        related += " AND r.sender = ANY(:rel_senders)"
        params["rel_senders"] = list(wanted.related_by_senders)
    return related + ")"


async def list_by_time(
    tx: Read, room_id: str, ts: int, direction: Literal["f", "b"], limit: int, skip: int = 0
) -> list[StoredEvent]:
    """Give the events nearest to a time (ms), not earlier than it (`f`) or not later (`b`), the nearest first."""
    side: LiteralString = "e.origin_server_ts >= :ts" if direction == "f" else "e.origin_server_ts <= :ts"
    way: LiteralString = "" if direction == "f" else " DESC"
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events e WHERE e.room_id = :room_id AND {side} AND {_TIMELINE}"
        f" ORDER BY e.origin_server_ts{way}, e.depth{way}, e.position{way} LIMIT :limit OFFSET :skip",
        room_id=room_id,
        ts=ts,
        limit=limit,
        skip=skip,
    )
    return [stored(row) for row in rows]
