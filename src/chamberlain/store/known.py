"""The graph of a room's events as far as it is here: what is known of an event, outliers, and where history breaks off.

An outlier is an event without a place in the room: it is kept because others cite it, or because it is state.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from chamberlain.matrix.types import StateKey
from chamberlain.store.commit import INSERT_EVENT
from chamberlain.store.state.keys import intern_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.tx import Read, Write

BARE: Final = 0
"""The auth height of events that nobody has judged; all others have a greater one."""


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of an event that is here. `is_placed`: it is no outlier, so the state before it is known."""

    event_id: str
    nid: int
    room_id: str
    height: int
    is_placed: bool
    is_rejected: bool
    is_soft_failed: bool

    @property
    def is_bare(self) -> bool:
        """Whether it came alone, when this server was not in the room: nothing is known of what it cites."""
        return self.height == BARE

    @property
    def counts(self) -> bool:
        """Whether it is part of the room for those who come after it."""
        return not self.is_rejected and not self.is_soft_failed


async def find_known(tx: Read, event_ids: Collection[str]) -> dict[str, Known]:
    """Give what is known of those of the events that are here, by id."""
    rows = await tx.all(
        "SELECT event_id, nid, room_id, auth_height, before_line IS NOT NULL, rejected IS NOT NULL, soft_failed"
        " FROM events WHERE event_id = ANY(:ids)",
        ids=list(event_ids),
    )
    return {
        row[0]: Known(row[0], row[1], row[2], row[3], bool(row[4]), bool(row[5]), bool(row[6]))
        for row in rows
    }


async def rejected_among(tx: Read, nids: Collection[int]) -> set[int]:
    """Give those of the events that were rejected."""
    rows = await tx.all(
        "SELECT nid FROM events WHERE nid = ANY(:nids) AND rejected IS NOT NULL", nids=list(nids)
    )
    return {row[0] for row in rows}


async def state_of(tx: Read, room_id: str, event_ids: Collection[str]) -> dict[int, int]:
    """Give the state, key to event, made of those of the events that are state of the room and were not rejected."""
    rows = await tx.all(
        "SELECT k.key, e.nid FROM events e JOIN state_keys k ON k.type = e.type AND k.state_key = e.state_key"
        " WHERE e.event_id = ANY(:ids) AND e.room_id = :room_id AND e.rejected IS NULL",
        ids=list(event_ids),
        room_id=room_id,
    )
    return {row[0]: row[1] for row in rows}


async def list_pdus(tx: Read, event_ids: Collection[str]) -> dict[str, bytes]:
    """Give the bytes of these events, rejected ones too, by id."""
    rows = await tx.all("SELECT event_id, pdu FROM events WHERE event_id = ANY(:ids)", ids=list(event_ids))
    return {row[0]: row[1] for row in rows}


async def points_after(tx: Read, event_ids: Collection[str]) -> dict[str, Point]:
    """Give, of those of the events that arrived in their room, the point at which the state after them stands."""
    rows = await tx.all(
        "SELECT event_id, before_line, before_ver, after_line, after_ver, state_key IS NOT NULL FROM events"
        " WHERE event_id = ANY(:ids) AND position > 0 AND rejected IS NULL AND NOT soft_failed",
        ids=list(event_ids),
    )
    found: dict[str, Point] = {}
    for event_id, before_line, before_ver, after_line, after_ver, is_state in rows:
        if not is_state:
            found[event_id] = (before_line, before_ver)
        elif after_line is not None:
            found[event_id] = (after_line, after_ver)
    return found


async def add_outliers(
    tx: Write, rows: Sequence[dict[str, Any]], auth: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """The events are here as outliers, if they were not here before, or bare; give the number of each by id.

    `auth`: pairs of an event and one that it cites, both by id. All auth events are here already or among `rows`.
    """
    await tx.many(
        f"{INSERT_EVENT} ON CONFLICT (event_id) DO UPDATE SET auth_height = excluded.auth_height,"
        " rejected = excluded.rejected WHERE events.auth_height = 0",
        rows,
    )
    names: set[StateKey] = {(row["type"], row["state_key"]) for row in rows if row["state_key"] is not None}
    await intern_keys(tx, names)
    ids = {row["event_id"] for row in rows}
    found = await tx.all(
        "SELECT event_id, nid FROM events WHERE event_id = ANY(:ids)",
        ids=list(ids.union(cited for _, cited in auth)),
    )
    nids: dict[str, int] = dict((row[0], row[1]) for row in found)
    await add_auth(tx, [(nids[event], nids[cited]) for event, cited in auth])
    return {event_id: nids[event_id] for event_id in ids}


async def add_auth(tx: Write, pairs: Sequence[tuple[int, int]]) -> None:
    """Each event cites the other, both by number; what is known already stays."""
    if pairs:
        await tx.many(
            "INSERT INTO event_auth (event, auth) VALUES (:event, :auth) ON CONFLICT (event, auth) DO NOTHING",
            [{"event": event, "auth": cited} for event, cited in sorted(set(pairs))],
        )


# ------------------------------------------------------------------------------------------ backward edges


async def add_edges(tx: Write, room_id: str, referrer: int, depth: int, missing: Collection[str]) -> None:
    """History breaks off before an event: these of its predecessors are not here."""
    if missing:
        await tx.many(
            "INSERT INTO backward_edges (room_id, missing, referrer, depth)"
            " VALUES (:room_id, :missing, :referrer, :depth) ON CONFLICT (room_id, missing, referrer) DO NOTHING",
            [
                {"room_id": room_id, "missing": event_id, "referrer": referrer, "depth": depth}
                for event_id in sorted(set(missing))
            ],
        )


async def drop_edges(tx: Write, room_id: str, found: Collection[str]) -> None:
    """These events are here now."""
    await tx.run(
        "DELETE FROM backward_edges WHERE room_id = :room_id AND missing = ANY(:found)",
        room_id=room_id,
        found=list(found),
    )


async def missing_among(tx: Read, room_id: str, event_ids: Collection[str]) -> set[str]:
    """Give those of the events that are missing where the room's history breaks off."""
    rows = await tx.all(
        "SELECT DISTINCT missing FROM backward_edges WHERE room_id = :room_id AND missing = ANY(:ids)",
        room_id=room_id,
        ids=list(event_ids),
    )
    return {row[0] for row in rows}


async def list_edges(tx: Read, room_id: str, low: int, high: int, limit: int) -> list[str]:
    """Give missing events before those at low <= depth <= high, those before the deepest first."""
    rows = await tx.all(
        "SELECT missing, MAX(depth) FROM backward_edges WHERE room_id = :room_id AND depth >= :low"
        " AND depth <= :high GROUP BY missing ORDER BY 2 DESC, 1 LIMIT :limit",
        room_id=room_id,
        low=low,
        high=high,
        limit=limit,
    )
    return [row[0] for row in rows]


async def deepest_edge(tx: Read, room_id: str, low: int, high: int) -> int | None:
    """Give the depth of the deepest event at low <= depth <= high before which history breaks off, None without one."""
    depth: int | None = await tx.value(
        "SELECT MAX(depth) FROM backward_edges WHERE room_id = :room_id AND depth >= :low AND depth <= :high",
        room_id=room_id,
        low=low,
        high=high,
    )
    return depth


async def follows_gap(tx: Read, prev_events: Collection[str]) -> bool:
    """Say whether what comes after these events, which are here, comes after something that nobody was told of.

    So it is after one that was fetched from the past, and after a refused one that came after a gap.
    """
    return bool(
        await tx.all(
            "SELECT 1 FROM events WHERE event_id = ANY(:ids) AND (position < 0"
            " OR (after_gap AND position IS NULL)) LIMIT 1",
            ids=list(prev_events),
        )
    )


# --------------------------------------------------------------------------------------- waiting redactions


async def list_waiting_redactions(tx: Read, event_ids: Collection[str]) -> list[tuple[str, str]]:
    """Give (target, redaction) of the redactions that wait for these events."""
    rows = await tx.all(
        "SELECT target, redaction FROM waiting_redactions WHERE target = ANY(:ids) ORDER BY target, redaction",
        ids=list(event_ids),
    )
    return [(row[0], row[1]) for row in rows]
