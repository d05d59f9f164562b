"""A room's history by (depth, position): pages of it, and events by time.

History goes by depth, /sync by arrival, and what is fetched from the past arrives at no time. A *place* is one in
history; a *cut* tells what was there at some time from what came later.
"""

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
"""How many events a page looks at that passes some."""

_FORWARDS: LiteralString = "ORDER BY e.depth, e.position"
_BACKWARDS: LiteralString = "ORDER BY e.depth DESC, e.position DESC"
_TIMELINE: LiteralString = "e.position IS NOT NULL AND e.rejected IS NULL AND NOT e.soft_failed"
# The `+ 0` keeps SQLite to the index by depth.
WITHIN: LiteralString = (
    " AND e.position + 0 <= :upto AND (e.position + 0 > :after"
    " OR (e.position + 0 < 0 AND e.depth + 0 > :after_depth AND e.depth + 0 <= :upto_depth))"
)
"""What is within the window that `bounds_of` gives as parameters."""


class Cut(msgspec.Struct, frozen=True, gc=False):
    """A cut through all events of a room, by arrival: before it is what arrived up to `position`.

    What was fetched from the past arrived at no time: it is before the cut where it is not deeper than `depth`.
    """

    position: int
    depth: int


NOTHING: Final = Cut(0, -1)
ALL: Final = Cut(END[1], END[0])


class Window(msgspec.Struct, frozen=True, gc=False):
    """The events between two cuts."""

    after: Cut = NOTHING
    upto: Cut = ALL


EVERYTHING: Final = Window()


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


async def cut_at(tx: Read, room_id: str, position: int = END[1]) -> Cut:
    """Give the cut after all that had arrived up to a position of the change stream; after all, without one."""
    row = await tx.one(
        "SELECT e.position, e.depth, e.reach FROM events e WHERE e.room_id = :room_id AND e.position > 0"
        " AND e.position <= :position ORDER BY e.position DESC LIMIT 1",
        room_id=room_id,
        position=position,
    )
    if row is None:
        # Nothing had: before what came first there may be history that is not here yet.
        return await cut_before_next(tx, room_id, NOTHING)
    return Cut(row[0], max(row[1], row[2] or 0))


async def cut_before_next(tx: Read, room_id: str, cut: Cut) -> Cut:
    """Give the same cut with what was fetched since of the history before the event that arrived next."""
    row = await tx.one(
        "SELECT e.depth FROM events e WHERE e.room_id = :room_id AND e.position > :position"
        " ORDER BY e.position LIMIT 1",
        room_id=room_id,
        position=cut.position,
    )
    return cut if row is None else Cut(cut.position, max(cut.depth, row[0]))


async def lowest_in(tx: Read, room_id: str, window: Window) -> int:
    """Give a depth that no event in a window is below."""
    row = await tx.one(
        "SELECT MIN(depth) FROM (SELECT depth FROM (SELECT e.depth FROM events e WHERE e.room_id = :room_id"
        " AND e.position > :after ORDER BY e.position LIMIT 1) following"
        " UNION ALL SELECT e.depth FROM events e WHERE e.room_id = :room_id AND e.position > :after"
        " AND e.position <= :upto AND e.reach IS NOT NULL) found",
        room_id=room_id,
        after=window.after.position,
        upto=window.upto.position,
    )
    deeper = window.after.depth + 1
    return deeper if row is None or row[0] is None else min(row[0], deeper)


async def page(
    tx: Read,
    room_id: str,
    low: Place,
    high: Place,
    *,
    backwards: bool,
    limit: int,
    wanted: RoomEventFilter | None = None,
    window: Window = EVERYTHING,
) -> Page:
    """Give at most `limit` events (1 or more) of a window between two places, from `high` down or from `low` up.

    With a filter, or what came before passed over, it looks at `SCANNED` events at most, so that a page may be empty
    and yet not the last one.
    """
    conditions, params = ("", {}) if wanted is None else _conditions(wanted)
    edge = None
    if conditions or window.after != NOTHING:
        edge = await _edge(tx, room_id, low, high, backwards=backwards)
        if edge is not None and backwards:
            low = (edge[0], edge[1] + 1)
        elif edge is not None:
            high = edge
    order = _BACKWARDS if backwards else _FORWARDS
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events e WHERE e.room_id = :room_id"
        " AND (e.depth, e.position) >= (:low_depth, :low_order)"
        f" AND (e.depth, e.position) < (:high_depth, :high_order) AND {_TIMELINE}{WITHIN}{conditions}"
        f" {order} LIMIT :limit",
        room_id=room_id,
        low_depth=low[0],
        low_order=low[1],
        high_depth=high[0],
        high_order=high[1],
        limit=limit + 1,
        **bounds_of(window),
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


def bounds_of(window: Window) -> dict[str, int]:
    """The parameters of `WITHIN`."""
    return {
        "after": window.after.position,
        "after_depth": window.after.depth,
        "upto": window.upto.position,
        "upto_depth": window.upto.depth,
    }


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
