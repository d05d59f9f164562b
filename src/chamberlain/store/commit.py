"""The last step of the way of an event: all rows of a unit, written by set and only onto the head it was built on."""

from collections.abc import Sequence
from typing import Any

import msgspec

from chamberlain.matrix.types import StateKey
from chamberlain.store import kinds
from chamberlain.store.state.keys import add_keys, intern_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.write import append_many, epoch_is_due, new_room_line, note_position, renew
from chamberlain.store.tx import Placement, Write

INSERT_EVENT = (
    "INSERT INTO events (nid, event_id, room_id, position, depth, type, state_key, sender, origin_server_ts,"
    " received_at, before_line, before_ver, after_line, after_ver, auth_height, rejected, soft_failed,"
    " redacted_by, replaces, relates_to, rel_type, rel_key, thread, contains_url, notifies, highlights,"
    " notify_count, highlight_count, thread_notify_count, outgoing, txn_device, txn_id, after_gap, reach, pdu, client)"
    " VALUES (:nid, :event_id, :room_id, :position, :depth, :type, :state_key, :sender, :origin_server_ts,"
    " :received_at, :before_line, :before_ver, :after_line, :after_ver, :auth_height, :rejected, :soft_failed,"
    " :redacted_by, :replaces, :relates_to, :rel_type, :rel_key, :thread, :contains_url, :notifies, :highlights,"
    " :notify_count, :highlight_count, :thread_notify_count, :outgoing, :txn_device, :txn_id, :after_gap, :reach, :pdu,"
    " :client)"
)
UPSERT_EVENT = (
    f"{INSERT_EVENT} ON CONFLICT (event_id) DO UPDATE SET position = excluded.position,"
    " depth = excluded.depth, received_at = excluded.received_at,"
    " before_line = excluded.before_line, before_ver = excluded.before_ver,"
    " after_line = excluded.after_line, after_ver = excluded.after_ver, rejected = excluded.rejected,"
    " soft_failed = excluded.soft_failed, replaces = excluded.replaces, thread = excluded.thread,"
    " notifies = excluded.notifies, highlights = excluded.highlights, notify_count = excluded.notify_count,"
    " highlight_count = excluded.highlight_count, thread_notify_count = excluded.thread_notify_count,"
    " txn_device = excluded.txn_device, txn_id = excluded.txn_id,"
    " outgoing = excluded.outgoing, auth_height = excluded.auth_height, after_gap = excluded.after_gap,"
    " reach = excluded.reach WHERE events.before_line IS NULL"
)
"""For events that may be here as outliers already: these get their place; bytes that were redacted stay so."""
UPSERT_MEMBERSHIP = (
    "INSERT INTO memberships (room_id, user_id, membership, local, server, event_id, sender, display_name,"
    " avatar_url, position, joined_position, forgotten)"
    " VALUES (:room_id, :user_id, :membership, :local, :server, :event_id, :sender, :display_name,"
    " :avatar_url, :position, :position, FALSE)"
    " ON CONFLICT (room_id, user_id) DO UPDATE SET membership = excluded.membership,"
    " joined_position = CASE WHEN memberships.membership = 'join' AND excluded.membership = 'join'"
    " THEN memberships.joined_position ELSE excluded.position END,"
    " event_id = excluded.event_id, sender = excluded.sender, display_name = excluded.display_name,"
    " avatar_url = excluded.avatar_url, position = excluded.position, forgotten = FALSE"
)
INSERT_TXN = (
    "INSERT INTO event_txns (user_id, device, path, txn_id, event_id, at)"
    " VALUES (:user_id, :device, :path, :txn_id, :event_id, :at)"
)
INSERT_NOTIFICATION = (
    "INSERT INTO notifications (user_id, room_id, event_id, thread, notify, highlight, actions, position)"
    " VALUES (:user_id, :room_id, :event_id, :thread, :notify, :highlight, :actions, :position)"
    " ON CONFLICT (user_id, room_id, event_id) DO NOTHING"
)


class AliasTaken(Exception):
    """The alias of a new room belongs to another room."""


class EventWrite(msgspec.Struct):
    """One event's rows. `row` has every column of `events` but the position."""

    row: dict[str, Any]
    payload: Any
    state_key: StateKey | None = None
    """What it sets, where it sets anything."""
    is_known: bool = False
    """Whether it is here as an outlier already."""
    membership: dict[str, Any] | None = None
    local_member: str | None = None
    """The local user whose membership it changes."""
    notifications: list[dict[str, Any]] = msgspec.field(default_factory=list)


class Head(msgspec.Struct, frozen=True):
    """The columns of `rooms` that move with each unit."""

    extremities: str
    line: int
    ver: int
    head_seq: int
    notify_count: int
    highlight_count: int
    thread_notify_count: int


class Unit(msgspec.Struct):
    """Events of one room that are committed together, or not at all."""

    room_id: str
    version: str
    creator: str
    created_at: int
    expected: int
    """The head_seq that the unit was built on; -1 for a room that does not exist yet."""
    head: Head
    events: list[EventWrite]
    auth: list[tuple[int, int]]
    txns: list[dict[str, Any]]
    redactions: list[dict[str, Any]]
    summary: dict[str, Any] | None
    spare_line: int | None
    """A line id to renew the current line with, where that is due."""
    keys: dict[StateKey, int] = msgspec.field(default_factory=dict)
    """The numbers of the state keys that its events set, as far as they have some."""
    new_keys: dict[StateKey, int] = msgspec.field(default_factory=dict)
    """Numbers reserved for the others."""
    alias: str | None = None
    """The alias of a new room."""
    published: bool = False
    """Whether the directory lists a new room."""
    unplaced: list[dict[str, Any]] = msgspec.field(default_factory=list)
    """Rows of events that were rejected: they change nothing and nobody is told of them."""
    waiting: list[dict[str, Any]] = msgspec.field(default_factory=list)
    """Redactions of events that are not here yet."""


async def commit(tx: Write, units: list[Unit]) -> list[Point | None]:
    """Write each unit whose room still has the head it was built on; give the current point, or None: conflict.

    Raises:
        AliasTaken: the alias of a new room belongs to another room.
        Stale, or what the database raises: they are alone, and not all heads are what they were built on.
    """
    good = (
        units if tx.is_alone and len({u.room_id for u in units}) == len(units) else await _unmoved(tx, units)
    )
    points = {unit.room_id: point for unit, point in zip(good, await _write_state(tx, good), strict=True)}
    await _write_rooms(tx, good, points)
    for unit in good:
        if unit.alias is not None or unit.published:
            await _write_new(tx, unit)
        _place_events(tx, unit)
    await _write_rest(tx, good)
    written = {id(unit) for unit in good}
    return [points[unit.room_id] if id(unit) in written else None for unit in units]


async def _unmoved(tx: Write, units: Sequence[Unit]) -> list[Unit]:
    """Lock the rooms and give the units that were built on their heads."""
    heads: dict[str, int] = dict(
        await tx.all(
            "SELECT room_id, head_seq FROM rooms WHERE room_id = ANY(:rooms) ORDER BY room_id FOR UPDATE",
            rooms=[unit.room_id for unit in units],
        )
    )
    # Of two that were built on one head, the second one is built on what is no longer true.
    first: dict[str, Unit] = {}
    for unit in units:
        if heads.get(unit.room_id, -1) == unit.expected:
            first.setdefault(unit.room_id, unit)
    return list(first.values())


async def _write_state(tx: Write, units: Sequence[Unit]) -> list[Point]:
    keys, new = await _number_keys(tx, units)
    appends = []
    for unit in units:
        if unit.expected < 0:
            await new_room_line(tx, unit.room_id, unit.head.line)
        changes = [(keys[e.state_key], e.row["nid"]) for e in unit.events if e.state_key is not None]
        if changes:
            appends.append((unit.head.line, unit.head.ver - len(changes), changes))
    if appends:
        await append_many(tx, appends, new)
    points = []
    for unit in units:
        point = (unit.head.line, unit.head.ver)
        before = unit.head.ver - sum(1 for event in unit.events if event.state_key is not None)
        if unit.spare_line is not None and epoch_is_due(before, unit.head.ver):
            point = await renew(tx, unit.room_id, before, point, iter((unit.spare_line,)))
        points.append(point)
    return points


async def _number_keys(tx: Write, units: Sequence[Unit]) -> tuple[dict[StateKey, int], set[int]]:
    """The numbers of all state keys, and which of them nothing can have used yet."""
    if not tx.is_alone:
        names = {event.state_key for unit in units for event in unit.events if event.state_key is not None}
        return (await intern_keys(tx, names) if names else {}), set()
    keys = {name: number for unit in units for name, number in unit.keys.items()}
    new: dict[StateKey, int] = {}
    for unit in units:
        for name, number in unit.new_keys.items():
            if name not in keys:
                keys[name] = new[name] = number
    if new:
        await add_keys(tx, new)
    return keys, set(new.values())


async def _write_rooms(tx: Write, units: Sequence[Unit], points: dict[str, Point]) -> None:
    if not units:
        return
    await tx.defer(
        "INSERT INTO rooms (room_id, version, creator, created_at, cur_line, cur_ver, head_seq, extremities,"
        " notify_count, highlight_count, thread_notify_count, must_exist)"
        " VALUES (:room_id, :version, :creator, :created_at, :line, :ver, :head_seq, :extremities,"
        " :notify_count, :highlight_count, :thread_notify_count, :must_exist)"
        " ON CONFLICT (room_id) DO UPDATE SET cur_line = excluded.cur_line, cur_ver = excluded.cur_ver,"
        " head_seq = excluded.head_seq, extremities = excluded.extremities,"
        " notify_count = excluded.notify_count, highlight_count = excluded.highlight_count,"
        " thread_notify_count = excluded.thread_notify_count"
        " WHERE rooms.head_seq = excluded.head_seq - 1",
        [
            {
                "room_id": unit.room_id,
                "version": unit.version,
                "creator": unit.creator,
                "created_at": unit.created_at,
                "line": points[unit.room_id][0],
                "ver": points[unit.room_id][1],
                "head_seq": unit.head.head_seq,
                "extremities": unit.head.extremities,
                "notify_count": unit.head.notify_count,
                "highlight_count": unit.head.highlight_count,
                "thread_notify_count": unit.head.thread_notify_count,
                # A room that was purged meanwhile does not come back: this refers to nothing.
                "must_exist": None if unit.expected < 0 else "the room",
            }
            # In one order everywhere, or two workers could wait for one another.
            for unit in sorted(units, key=lambda unit: unit.room_id)
        ],
        each=True,
    )


async def _write_new(tx: Write, unit: Unit) -> None:
    if unit.alias is not None and not await tx.run(
        "INSERT INTO room_aliases (alias, room_id, creator, created_at)"
        " VALUES (:alias, :room_id, :creator, :created_at) ON CONFLICT (alias) DO NOTHING",
        alias=unit.alias,
        room_id=unit.room_id,
        creator=unit.creator,
        created_at=unit.created_at,
    ):
        raise AliasTaken
    if unit.published:
        await tx.run(
            "INSERT INTO published_rooms (room_id, published_at) VALUES (:room_id, :created_at)"
            " ON CONFLICT (room_id) DO NOTHING",
            room_id=unit.room_id,
            created_at=unit.created_at,
        )


def _place_events(tx: Write, unit: Unit) -> None:
    last_membership: dict[str, tuple[Placement, dict[str, Any]]] = {}
    for event in unit.events:
        row = event.row
        placement = tx.place(kinds.EVENT, unit.room_id, row["event_id"], event.payload)
        placement.write(UPSERT_EVENT if event.is_known else INSERT_EVENT, **row)
        if event.state_key is not None:
            note_position(placement, unit.room_id, (row["after_line"], row["after_ver"]))
        for notification in event.notifications:
            placement.write(INSERT_NOTIFICATION, **notification)
        if event.membership is not None:
            last_membership[event.membership["user_id"]] = (placement, event.membership)
        if event.local_member is not None:
            tx.place(kinds.MEMBERSHIP, event.local_member, unit.room_id)
    for placement, membership in last_membership.values():
        placement.write(UPSERT_MEMBERSHIP, **membership)


async def _write_rest(tx: Write, units: Sequence[Unit]) -> None:
    auth = [{"event": event, "auth": auth} for unit in units for event, auth in unit.auth]
    if auth:
        await tx.defer("INSERT INTO event_auth (event, auth) VALUES (:event, :auth)", auth)
    txns = [txn for unit in units for txn in unit.txns]
    if txns:
        await tx.defer(INSERT_TXN, txns)
    unplaced = [row for unit in units for row in unit.unplaced]
    if unplaced:
        await tx.many(UPSERT_EVENT, unplaced)
    await write_redactions(
        tx,
        [redaction for unit in units for redaction in unit.redactions],
        [waiting for unit in units for waiting in unit.waiting],
    )
    summaries = [unit.summary for unit in units if unit.summary is not None]
    if summaries:
        await write_summaries(tx, summaries)


async def write_redactions(
    tx: Write, redactions: list[dict[str, Any]], waiting: list[dict[str, Any]]
) -> None:
    """What redactions took away is gone; those of events that are not here are kept for these."""
    if waiting:
        await tx.many(
            "INSERT INTO waiting_redactions (target, redaction, room_id) VALUES (:target, :redaction, :room_id)"
            " ON CONFLICT (target, redaction) DO NOTHING",
            waiting,
        )
    if redactions:
        await tx.many(
            "UPDATE events SET pdu = :pdu, client = :client, redacted_by = :redacted_by, relates_to = NULL,"
            " rel_type = NULL, rel_key = NULL, contains_url = FALSE WHERE event_id = :event_id",
            redactions,
        )
    members = [redaction for redaction in redactions if redaction["member"] is not None]
    if members:
        await tx.many(
            "UPDATE memberships SET display_name = NULL, avatar_url = NULL"
            " WHERE room_id = :room_id AND user_id = :member AND event_id = :event_id",
            members,
        )


async def write_summaries(tx: Write, summaries: list[dict[str, Any]]) -> None:
    """The summaries of these rooms are these."""
    await tx.defer(
        "INSERT INTO room_summaries (room_id, name, topic, avatar_url, canonical_alias, join_rule,"
        " history_visibility, guest_access, encryption, room_type, tombstone, federatable, joined, invited,"
        " local_joined, state_events)"
        " VALUES (:room_id, :name, :topic, :avatar_url, :canonical_alias, :join_rule, :history_visibility,"
        " :guest_access, :encryption, :room_type, :tombstone, :federatable, :joined, :invited, :local_joined,"
        " :state_events)"
        " ON CONFLICT (room_id) DO UPDATE SET name = excluded.name, topic = excluded.topic,"
        " avatar_url = excluded.avatar_url, canonical_alias = excluded.canonical_alias,"
        " join_rule = excluded.join_rule, history_visibility = excluded.history_visibility,"
        " guest_access = excluded.guest_access, encryption = excluded.encryption,"
        " room_type = excluded.room_type, tombstone = excluded.tombstone,"
        " federatable = excluded.federatable, joined = excluded.joined, invited = excluded.invited,"
        " local_joined = excluded.local_joined, state_events = excluded.state_events",
        summaries,
    )
