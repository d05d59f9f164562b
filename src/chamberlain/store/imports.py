"""A room that comes whole from another server: its state, its members, and the join of a user of ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chamberlain.store import kinds, purged
from chamberlain.store.commit import UPSERT_EVENT, UPSERT_MEMBERSHIP, EventWrite, Head, write_summaries
from chamberlain.store.history import cut_at
from chamberlain.store.known import add_auth, add_edges, follows_gap
from chamberlain.store.partial import Partial, begin, leave_unfinished
from chamberlain.store.purged import BeingPurged
from chamberlain.store.state.lines import FIRST, LAST, Point, add_line
from chamberlain.store.state.write import advance_current, note_position
from chamberlain.store.tx import Write

BEFORE_JOIN = 1
"""The version of a fresh line that is the state before the join."""


class Arrival(msgspec.Struct):
    """A user of ours came into a room that nobody here was in."""

    room_id: str
    version: str
    creator: str
    created_at: int
    expected: int | None
    """The head_seq of a room that was left before; None for one that is new here."""
    line: int
    """The line of a new room, which `begin_line` and `add_rows` have filled; or the present one."""
    ver: int
    changes: Mapping[int, int | None]
    """What differs from the present state of a room that was left before."""
    join_key: int
    head: Head
    event: EventWrite
    auth: Sequence[tuple[int, int]]
    follows: Sequence[str]
    missing: Sequence[str]
    memberships: Sequence[dict[str, Any]]
    local_members: Sequence[str]
    summary: dict[str, Any]
    lines: Sequence[int]
    purges: int
    """How often the room had been purged when its state was looked at."""
    partial: Partial | None = None
    """Where the members were left out."""
    servers: Sequence[str] = ()


async def begin_line(tx: Write, room_id: str, line: int, live: int) -> None:
    """A room has a complete line of `live` rows, which nothing refers to yet."""
    await add_line(tx, room_id, line, None, complete=True, first=BEFORE_JOIN, live=live)


async def add_rows(tx: Write, line: int, state: Sequence[tuple[int, int]]) -> None:
    """A part of the line's state: (key, event)."""
    await tx.many(
        "INSERT INTO state_rows (line, key, from_v, to_v, event) VALUES (:line, :key, :from_v, :to_v, :event)",
        [{"line": line, "key": key, "from_v": FIRST, "to_v": LAST, "event": event} for key, event in state],
    )


async def add_memberships(tx: Write, rows: Sequence[dict[str, Any]]) -> None:
    """Memberships of other servers' users in a room that is not here; nothing where another worker brought it in."""
    if rows and await tx.value("SELECT 1 FROM rooms WHERE room_id = :room_id", room_id=rows[0]["room_id"]):
        return
    await tx.many(UPSERT_MEMBERSHIP, [{**row, "position": 0} for row in rows])


async def arrive(tx: Write, arrival: Arrival) -> Point | None:
    """The room stands after the join; give the point of its state, or None where it has moved meanwhile.

    Raises:
        BeingPurged: what was told of the room is not all here any more.
    """
    if await purged.times(tx, arrival.room_id) != arrival.purges:
        raise BeingPurged
    if not await _claim(tx, arrival):
        return None
    lines = iter(arrival.lines)
    before = (arrival.line, arrival.ver)
    if arrival.changes:
        before = await advance_current(tx, arrival.room_id, before, arrival.changes, lines)
    row = arrival.event.row
    row["before_line"], row["before_ver"] = before
    after = await advance_current(tx, arrival.room_id, before, {arrival.join_key: row["nid"]}, lines)
    row["after_line"], row["after_ver"] = after
    row["after_gap"] = bool(arrival.missing) or await follows_gap(tx, arrival.follows)
    if arrival.expected is not None:
        reach = (await cut_at(tx, arrival.room_id)).depth
        row["reach"] = reach if row["depth"] < reach else None
    await _put_room(tx, arrival, after)
    placement = tx.place(kinds.EVENT, arrival.room_id, row["event_id"])
    placement.write(UPSERT_EVENT, **row)
    note_position(placement, arrival.room_id, after)
    for membership in arrival.memberships:
        placement.write(UPSERT_MEMBERSHIP, **membership)
    for user_id in arrival.local_members:
        tx.place(kinds.MEMBERSHIP, user_id, arrival.room_id)
    await add_auth(tx, arrival.auth)
    await add_edges(tx, arrival.room_id, row["nid"], row["depth"], arrival.missing)
    await write_summaries(tx, [arrival.summary | {"room_id": arrival.room_id}])
    if arrival.partial is not None:
        await begin(tx, arrival.partial, arrival.servers)
    return after


async def _claim(tx: Write, arrival: Arrival) -> bool:
    """Whether the room is where it was looked at; nobody else brings it in, or moves it, before the end of this."""
    room_id = arrival.room_id
    if arrival.expected is not None:
        seq = await tx.value(
            "SELECT head_seq FROM rooms WHERE room_id = :room_id FOR UPDATE", room_id=room_id
        )
        if seq == arrival.expected:
            await leave_unfinished(tx, room_id)
        return bool(seq == arrival.expected)
    is_new = await tx.run(
        "INSERT INTO rooms (room_id, version, creator, created_at, cur_line, cur_ver, head_seq, extremities,"
        " notify_count, highlight_count, thread_notify_count)"
        " VALUES (:room_id, :version, :creator, :created_at, :line, :ver, 0, '[]', 0, 0, 0)"
        " ON CONFLICT (room_id) DO NOTHING",
        room_id=room_id,
        version=arrival.version,
        creator=arrival.creator,
        created_at=arrival.created_at,
        line=arrival.line,
        ver=arrival.ver,
    )
    if is_new:
        # What tries left that came to nothing, or that come too late now.
        await tx.run(
            "DELETE FROM state_rows WHERE line IN"
            " (SELECT l.line FROM state_lines l WHERE l.room_id = :room_id AND l.line <> :line)",
            room_id=room_id,
            line=arrival.line,
        )
        await tx.run(
            "DELETE FROM state_lines WHERE room_id = :room_id AND line <> :line",
            room_id=room_id,
            line=arrival.line,
        )
    return bool(is_new)


async def _put_room(tx: Write, arrival: Arrival, point: Point) -> None:
    head = arrival.head
    await tx.run(
        "UPDATE rooms SET cur_line = :line, cur_ver = :ver, head_seq = :head_seq, extremities = :extremities,"
        " is_partial = :is_partial WHERE room_id = :room_id",
        room_id=arrival.room_id,
        line=point[0],
        ver=point[1],
        head_seq=head.head_seq,
        extremities=head.extremities,
        is_partial=arrival.partial is not None,
    )
