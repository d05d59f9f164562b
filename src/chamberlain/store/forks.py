"""Writing an event that does not follow the head of its room: on a fork, or with a state that was told to us."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from chamberlain.store import kinds
from chamberlain.store.commit import (
    INSERT_NOTIFICATION,
    INSERT_TXN,
    UPSERT_EVENT,
    UPSERT_MEMBERSHIP,
    EventWrite,
    Head,
    write_redactions,
    write_summaries,
)
from chamberlain.store.history import cut_at
from chamberlain.store.known import add_auth, add_edges, drop_edges, follows_gap
from chamberlain.store.search import index_past
from chamberlain.store.state.keys import intern_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.write import View, advance_current, new_room_line, note_position, place
from chamberlain.store.tx import Write


class Fork(msgspec.Struct):
    """One event and what it changes."""

    room_id: str
    expected: int
    """The head_seq that it was judged by."""
    head: Head
    """The head as it becomes, but for the point, which is the present one."""
    event: EventWrite
    before: View | None
    """The state before it; None for an event that begins the room."""
    lines: Sequence[int]
    """Line ids to use, twice LINES_PER_WRITE of them."""
    takes_part: bool = False
    """Whether it moves the head of the room: it is neither rejected, soft-failed nor of the past."""
    is_past: bool = False
    """Whether it was fetched from the past: it has its position already, and nobody is told of it."""
    words: Mapping[str, int] = {}
    """Those of an event of the past: what arrives is indexed by who follows the change stream."""
    was_told: bool = False
    """Whether the state before it is as another server has it."""
    changes: Mapping[int, int | None] = {}
    """What becomes of the current state: by key, the event or None."""
    memberships: Sequence[dict[str, Any]] = ()
    local_members: Sequence[str] = ()
    auth: Sequence[tuple[int, int]] = ()
    follows: Sequence[str] = ()
    """Its predecessors."""
    missing: Sequence[str] = ()
    """Those of them that are not here."""
    txns: Sequence[Mapping[str, Any]] = ()
    redactions: Sequence[dict[str, Any]] = ()
    waiting: Sequence[dict[str, Any]] = ()
    summary: dict[str, Any] | None = None


async def commit_fork(tx: Write, fork: Fork) -> bool:
    """Write the event where the room still has the head that it was judged by; whether it has."""
    row = await tx.one("SELECT head_seq FROM rooms WHERE room_id = :room_id FOR UPDATE", room_id=fork.room_id)
    if row is None or row[0] != fork.expected:
        return False
    lines = iter(fork.lines)
    current = (fork.head.line, fork.head.ver)
    event = fork.event.row
    if fork.event.state_key is not None:
        await intern_keys(tx, [fork.event.state_key])
    event["before_line"], event["before_ver"] = await _point_before(tx, fork, current, lines)
    reach = (await cut_at(tx, fork.room_id)).depth
    if fork.is_past:
        # However deep it says that it is: it was before something that is here.
        event["depth"] = min(event["depth"], reach)
    else:
        event["after_gap"] = bool(fork.missing) or await follows_gap(tx, fork.follows)
        event["reach"] = reach if fork.takes_part and event["depth"] < reach else None
    moved = current
    if fork.changes:
        moved = await advance_current(tx, fork.room_id, current, fork.changes, lines)
    if fork.takes_part:
        await _move_head(tx, fork, moved)
        _place(tx, fork, None if moved == current else moved)
    else:
        await tx.many(UPSERT_EVENT, [event])
    if fork.txns:
        await tx.many(INSERT_TXN, fork.txns)
    await add_auth(tx, fork.auth)
    await drop_edges(tx, fork.room_id, [event["event_id"]])
    await add_edges(tx, fork.room_id, event["nid"], event["depth"], fork.missing)
    await write_redactions(tx, list(fork.redactions), list(fork.waiting))
    if fork.is_past:
        redacted = [redaction["event_id"] for redaction in fork.redactions]
        await index_past(tx, fork.room_id, event["nid"], fork.words, redacted)
    if fork.summary is not None:
        await write_summaries(tx, [fork.summary])
    return True


async def _point_before(tx: Write, fork: Fork, current: Point, lines: Iterator[int]) -> Point:
    if fork.before is None:
        return await new_room_line(tx, fork.room_id, next(lines))
    backfilled = fork.is_past and fork.was_told
    return await place(tx, fork.room_id, fork.before, current, lines, backfilled=backfilled)


async def _move_head(tx: Write, fork: Fork, point: Point) -> None:
    head = fork.head
    await tx.run(
        "UPDATE rooms SET cur_line = :line, cur_ver = :ver, head_seq = :head_seq, extremities = :extremities,"
        " notify_count = :notify_count, highlight_count = :highlight_count,"
        " thread_notify_count = :thread_notify_count WHERE room_id = :room_id",
        room_id=fork.room_id,
        line=point[0],
        ver=point[1],
        head_seq=head.head_seq,
        extremities=head.extremities,
        notify_count=head.notify_count,
        highlight_count=head.highlight_count,
        thread_notify_count=head.thread_notify_count,
    )


def _place(tx: Write, fork: Fork, moved: Point | None) -> None:
    row = fork.event.row
    # Without a payload: whoever keeps something of the room asks the database, which knows of the other changes too.
    placement = tx.place(kinds.EVENT, fork.room_id, row["event_id"])
    placement.write(UPSERT_EVENT, **row)
    if moved is not None:
        note_position(placement, fork.room_id, moved)
    for notification in fork.event.notifications:
        placement.write(INSERT_NOTIFICATION, **notification)
    for membership in fork.memberships:
        placement.write(UPSERT_MEMBERSHIP, **membership)
    for user_id in fork.local_members:
        tx.place(kinds.MEMBERSHIP, user_id, fork.room_id)
