"""Events that relate to other events."""

from collections.abc import Collection, Sequence
from typing import Any, Final, LiteralString

import msgspec

from chamberlain.store.events import STORED_COLUMNS, StoredEvent, stored
from chamberlain.store.history import EVERYTHING, WITHIN, Page, Place, Window, beyond, bounds_of
from chamberlain.store.tx import Read

MAX_LEVELS: Final = 3
"""How deep relations of relations are followed."""
_MAX_REFERENCES: Final = 1_000
_MAX_EDITS: Final = 100
_NEVER: Final = 2**62
_BUNDLED: Final = ("m.replace", "m.thread", "m.reference")
_ACCEPTED: LiteralString = "e.rejected IS NULL AND NOT e.soft_failed AND e.position <= :upto"
_EDIT: LiteralString = (
    "e.rel_type = 'm.replace' AND e.sender = p.sender AND e.type = p.type AND e.room_id = p.room_id"
    f" AND e.state_key IS NULL AND {_ACCEPTED}"
)
_EDITABLE: LiteralString = (
    "p.state_key IS NULL AND p.redacted_by IS NULL AND (p.rel_type IS NULL OR p.rel_type <> 'm.replace')"
)


class Thread(msgspec.Struct, frozen=True):
    """What is told of a thread beside its root."""

    count: int
    latest: int
    """The number of its newest event."""
    participated: bool


async def has_annotation(tx: Read, event_id: str, sender: str, kind: str, key: str) -> bool:
    """Say whether the sender has annotated the event with this key and event type."""
    return bool(
        await tx.all(
            "SELECT 1 FROM events WHERE relates_to = :event_id AND rel_type = 'm.annotation'"
            " AND sender = :sender AND type = :kind AND rel_key = :key LIMIT 1",
            event_id=event_id,
            sender=sender,
            kind=kind,
            key=key,
        )
    )


async def has_relation(tx: Read, event_id: str) -> bool:
    """Say whether the event itself relates to another one."""
    return bool(
        await tx.all(
            "SELECT 1 FROM events WHERE event_id = :event_id AND relates_to IS NOT NULL", event_id=event_id
        )
    )


async def bundled_kinds(tx: Read, event_ids: Collection[str]) -> dict[str, set[str]]:
    """Give the kinds of relations (m.replace, m.thread, m.reference) that point at each of these events."""
    found: dict[str, set[str]] = {}
    for event_id, kind in await tx.all(
        "SELECT DISTINCT relates_to, rel_type FROM events WHERE relates_to = ANY(:ids)", ids=list(event_ids)
    ):
        if kind in _BUNDLED:
            found.setdefault(kind, set()).add(event_id)
    return found


async def newest_edits(tx: Read, event_ids: Collection[str], upto: int = _NEVER) -> dict[str, int]:
    """Give the number of the newest event, by its own time, that replaces each of these events.

    Who sent the event sent it too, and it is of the same type; what its content is, is not looked at.
    """
    rows = await tx.all(
        f"SELECT p.event_id, (SELECT e.nid FROM events e WHERE e.relates_to = p.event_id AND {_EDIT}"
        " ORDER BY e.origin_server_ts DESC, e.event_id DESC LIMIT 1)"
        f" FROM events p WHERE p.event_id = ANY(:ids) AND {_EDITABLE}",
        ids=list(event_ids),
        upto=upto,
    )
    return {event_id: nid for event_id, nid in rows if nid is not None}


async def list_edits(tx: Read, event_id: str, upto: int = _NEVER) -> list[StoredEvent]:
    """Give the events among which `newest_edits` chooses, the newest first."""
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events p JOIN events e ON e.relates_to = p.event_id"
        f" WHERE p.event_id = :event_id AND {_EDITABLE} AND {_EDIT}"
        " ORDER BY e.origin_server_ts DESC, e.event_id DESC LIMIT :most",
        event_id=event_id,
        upto=upto,
        most=_MAX_EDITS,
    )
    return [stored(row) for row in rows]


async def threads_of(
    tx: Read, roots: Collection[str], user_id: str, ignored: Collection[str], upto: int = _NEVER
) -> dict[str, Thread]:
    """Give what there is to tell of the threads of these roots, as if those whom the user ignores were silent."""
    rows = await tx.all(
        "SELECT p.event_id,"
        " (SELECT COUNT(*) FROM events e WHERE e.relates_to = p.event_id AND e.rel_type = 'm.thread'"
        f" AND e.room_id = p.room_id AND e.sender <> ALL(:ignored) AND {_ACCEPTED}),"
        " (SELECT e.nid FROM events e WHERE e.room_id = p.room_id AND e.thread = p.event_id"
        f" AND e.rel_type = 'm.thread' AND e.sender <> ALL(:ignored) AND {_ACCEPTED}"
        " ORDER BY e.position DESC LIMIT 1),"
        " CASE WHEN p.sender = :user_id OR EXISTS (SELECT 1 FROM events e WHERE e.relates_to = p.event_id"
        f" AND e.rel_type = 'm.thread' AND e.sender = :user_id AND {_ACCEPTED}) THEN 1 ELSE 0 END"
        " FROM events p WHERE p.event_id = ANY(:ids)",
        ids=list(roots),
        user_id=user_id,
        ignored=list(ignored),
        upto=upto,
    )
    return {
        root: Thread(count, latest, bool(mine)) for root, count, latest, mine in rows if latest is not None
    }


async def references_to(
    tx: Read, event_ids: Collection[str], ignored: Collection[str], upto: int = _NEVER
) -> dict[str, list[str]]:
    """Give the ids of the events that refer to each of these, in the order of their arrival."""
    found: dict[str, list[str]] = {}
    for event_id, child in await tx.all(
        "SELECT e.relates_to, e.event_id FROM events e WHERE e.relates_to = ANY(:ids)"
        f" AND e.rel_type = 'm.reference' AND e.sender <> ALL(:ignored) AND {_ACCEPTED}"
        " ORDER BY e.position LIMIT :most",
        ids=list(event_ids),
        ignored=list(ignored),
        upto=upto,
        most=_MAX_REFERENCES,
    ):
        found.setdefault(event_id, []).append(child)
    return found


async def page_of_children(
    tx: Read,
    parent: StoredEvent,
    low: Place,
    high: Place,
    *,
    backwards: bool,
    limit: int,
    rel_type: str | None = None,
    kind: str | None = None,
    levels: int = 1,
    window: Window = EVERYTHING,
) -> Page:
    """Give the events of a window that relate to an event, between two places, from `high` down or `low` up.

    `levels` above 1: also what relates to these, so many times over. `rel_type` and `kind` are asked of all of
    them, those in between too.
    """
    wanted: LiteralString = "e.room_id = :room_id AND e.rejected IS NULL AND NOT e.soft_failed"
    params: dict[str, Any] = {"room_id": parent.room_id, "event_id": parent.event_id}
    if rel_type is not None:
        wanted += " AND e.rel_type = :rel_type"
        params["rel_type"] = rel_type
    if kind is not None:
        wanted += " AND e.type = :kind"
        params["kind"] = kind
    tree: LiteralString = ""
    related: LiteralString = "e.relates_to = :event_id"
    if levels > 1:
        tree = (
            "WITH RECURSIVE tree(event_id, level) AS (SELECT CAST(:event_id AS TEXT), 1"
            " UNION SELECT e.event_id, t.level + 1 FROM tree t JOIN events e ON e.relates_to = t.event_id"
            f" WHERE t.level < :levels AND {wanted}) "
        )
        related = "e.relates_to IN (SELECT t.event_id FROM tree t)"
        params["levels"] = min(levels, MAX_LEVELS)
    order: LiteralString = "DESC" if backwards else "ASC"
    rows = await tx.all(
        f"{tree}SELECT {STORED_COLUMNS} FROM events e WHERE {related} AND {wanted}"
        " AND (e.depth, e.position) >= (:low_depth, :low_order)"
        f" AND (e.depth, e.position) < (:high_depth, :high_order) AND e.position IS NOT NULL{WITHIN}"
        f" ORDER BY e.depth {order}, e.position {order} LIMIT :limit",
        low_depth=low[0],
        low_order=low[1],
        high_depth=high[0],
        high_order=high[1],
        limit=limit + 1,
        **bounds_of(window),
        **params,
    )
    events = [stored(row) for row in rows[:limit]]
    more = beyond(events[-1], backwards=backwards) if len(rows) > limit else None
    return Page(events, more)


async def list_threads(
    tx: Read, room_id: str, *, before: int, reach: int, limit: int, participant: str | None = None
) -> Sequence[tuple[str, int]]:
    """Give (root, position of the newest event) of a room's threads, those with the newest events first.

    `reach`: the position before which events count; `before`: only threads whose newest event arrived before this
    position; `participant`: only those in which this user sent something, the root or another event.
    """
    rows = await tx.all(
        # From one thread of the index to the next one: their events are not walked.
        "WITH RECURSIVE roots(root) AS ("
        " SELECT MIN(thread) FROM events WHERE room_id = :room_id AND thread IS NOT NULL"
        " UNION ALL SELECT (SELECT MIN(e.thread) FROM events e WHERE e.room_id = :room_id AND e.thread > r.root"
        " AND e.thread IS NOT NULL) FROM roots r WHERE r.root IS NOT NULL)"
        " SELECT x.root, x.latest FROM (SELECT r.root AS root, (SELECT e.position FROM events e"
        " WHERE e.room_id = :room_id AND e.thread = r.root AND e.rel_type = 'm.thread' AND e.rejected IS NULL"
        " AND NOT e.soft_failed AND e.position < :reach ORDER BY e.position DESC LIMIT 1) AS latest"
        " FROM roots r WHERE r.root IS NOT NULL) x JOIN events p ON p.event_id = x.root"
        " WHERE p.room_id = :room_id AND x.latest < :before"
        " AND (CAST(:participant AS TEXT) IS NULL OR p.sender = :participant OR EXISTS (SELECT 1 FROM events m"
        " WHERE m.relates_to = x.root AND m.rel_type = 'm.thread' AND m.sender = :participant))"
        " ORDER BY x.latest DESC LIMIT :limit",
        room_id=room_id,
        before=before,
        reach=reach,
        participant=participant,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]
