"""A room that comes from another server with the join of a user of ours (server-server API, Joining Rooms)."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from chamberlain.matrix.auth_rules.power_levels import CREATE_KEY
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import find_server_of, is_valid_server_name
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import RoomVersion
from chamberlain.rooms.pipeline.authorize import Reject, by_state, keys_for
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.completion import Completion
from chamberlain.rooms.pipeline.consequences import plain_row
from chamberlain.rooms.pipeline.fetch import MAX_STATE
from chamberlain.rooms.pipeline.fork import Forking
from chamberlain.rooms.pipeline.head import Extremity, Head, Heads, Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.outliers import Outliers, in_order, needed
from chamberlain.rooms.pipeline.submit import TRIES, Submit
from chamberlain.rooms.pipeline.summary import (
    NEW_SUMMARY,
    Summary,
    count_member,
    membership_in,
    membership_row,
    summarize,
)
from chamberlain.rooms.pipeline.told import AT_ONCE, Told, index, parts, read
from chamberlain.runtime.clock import Clock
from chamberlain.store import purged
from chamberlain.store.commit import EventWrite
from chamberlain.store.commit import Head as HeadWrite
from chamberlain.store.database import Database
from chamberlain.store.imports import BEFORE_JOIN, Arrival, add_memberships, add_rows, arrive, begin_line
from chamberlain.store.known import Known, find_known, list_pdus
from chamberlain.store.partial import Partial
from chamberlain.store.state.keys import intern_keys
from chamberlain.store.state.lines import LINES_PER_WRITE
from chamberlain.store.state.merge import changes_to, given

ROWS_AT_ONCE: Final = 1_000
"""Rows of one transaction."""
MAX_SERVERS: Final = 20_000


class _Room(msgspec.Struct):
    """What came of a room, judged and kept."""

    version: RoomVersion
    join: Event
    known: dict[str, Known] = {}
    state: dict[StateKey, str] = {}
    numbers: dict[StateKey, int] = {}
    summary: Summary = msgspec.field(default_factory=lambda: dict(NEW_SUMMARY))
    memberships: dict[str, dict[str, Any]] = {}
    create: Event | None = None
    partial: Partial | None = None
    servers: Sequence[str] = ()
    purges: int = 0
    """How often the room had been purged before."""

    @property
    def own(self) -> Known:
        """The join, as it is known here."""
        return self.known[self.join.event_id]

    @property
    def rows(self) -> dict[int, int]:
        """The state before the join, key to event."""
        return {self.numbers[key]: self.known[event_id].nid for key, event_id in self.state.items()}

    def add(self, event: Event, key: StateKey, *, local: bool) -> None:
        """The event is part of the state before the join."""
        self.state[key] = event.event_id
        summarize(self.summary, event, is_new=True)
        if event.type == MEMBER:
            count_member(self.summary, None, membership_in(event), local=local)
            self.memberships[key[1]] = membership_row(event, local=local)
        if key == CREATE_KEY:
            self.create = event


class Imports:
    """Takes in rooms from other servers."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        submit: Submit,
        ids: EventIds,
        checks: Checks,
        outliers: Outliers,
        forking: Forking,
        completion: Completion,
        server_name: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._submit = submit
        self._ids = ids
        self._checks = checks
        self._outliers = outliers
        self._forking = forking
        self._completion = completion
        self._server_name = server_name

    async def join(
        self,
        origin: str,
        version: RoomVersion,
        join: Event,
        state: Sequence[bytes],
        auth_chain: Sequence[bytes],
        *,
        members_omitted: bool = False,
        servers: Sequence[str] = (),
    ) -> None:
        """Have the room, which nobody here is in, as `origin` told it before the join, and the join as its head.

        `members_omitted`: members are missing in the state, which only a room that never was here may lack; they are
        fetched afterwards, and until then `servers` are those in the room. Where a user of ours is in the room
        meanwhile, nothing changes but that the join is known.

        Raises:
            Forbidden: the join is not allowed in that state, or not well signed.
            MatrixError: UNKNOWN (502) where the state is none: no create event, two events for one key, too large.
            BeingPurged: what was here of the room before is not gone yet.
        """
        if len(state) + len(auth_chain) > MAX_STATE:
            raise _unusable(origin, "its state is too large")
        purges = await self._db.read(purged.times, join.room_id)
        room = await self._judge(origin, version, join, state, auth_chain, members_omitted=members_omitted)
        room.purges = purges
        if members_omitted:
            room.partial = Partial(join.room_id, join.event_id, origin)
            room.servers = [server for server in servers if is_valid_server_name(server)][:MAX_SERVERS]
        await self._submit.in_turn(join.room_id, partial(self._arrive, room))

    # ---------------------------------------------------------------------------------------------- judging

    async def _judge(
        self,
        origin: str,
        version: RoomVersion,
        join: Event,
        state: Sequence[bytes],
        auth_chain: Sequence[bytes],
        *,
        members_omitted: bool,
    ) -> _Room:
        told = await asyncio.to_thread(index, state, version, join.room_id)
        everything = await asyncio.to_thread(index, auth_chain, version, join.room_id)
        everything |= told
        everything[join.event_id] = Told([join.pdu], 0, join.key, needed(join))
        room = _Room(version, join)
        # What the join cites was in the state when it was made: where that part is left out, it still counts.
        keys = {one.key for one in told.values()}
        cited = {name for name in join.auth_events if name in everything and everything[name].key not in keys}
        in_state = (told.keys() | (cited if members_omitted else set())) - {join.event_id}
        order = await asyncio.to_thread(in_order, {name: one.needed for name, one in everything.items()})
        for part in parts(order, AT_ONCE):
            some = [everything.pop(name) for name in part]
            events = await asyncio.to_thread(read, some, version, join.room_id)
            await self._keep(origin, room, events, in_state)
        if room.create is None:
            raise _unusable(origin, "its state has no create event")
        if room.create.content.get("room_version", "1") != version.id:
            raise _unusable(origin, f"it is no room of version {version.id}")
        await self._check_join(room)
        for names in parts([*room.state, (MEMBER, join.state_key or "")], ROWS_AT_ONCE):
            room.numbers |= await self._db.write(intern_keys, names)
        return room

    async def _keep(
        self, origin: str, room: _Room, events: Sequence[Event], in_state: Collection[str]
    ) -> None:
        """Have a part of the room's events here, and those of the state in the room."""
        passed = await self._checks.passed(events)
        room.known |= await self._outliers.keep(room.version, passed)
        for event in passed:
            one = room.known.get(event.event_id)
            if event.event_id not in in_state or event.key is None or one is None or one.is_rejected:
                continue
            if event.key in room.state:
                raise _unusable(origin, f"its state has two events for {event.key[0]}")
            room.add(event, event.key, local=self._is_local(event))

    async def _check_join(self, room: _Room) -> None:
        join = room.join
        if join.event_id not in room.known:
            raise Forbidden("The join is badly signed, or cites what the room does not have")
        if room.own.is_rejected:
            raise Forbidden("The events that the join cites do not allow it")
        ids = [room.state[key] for key in keys_for(join) if key in room.state]
        pdus = await self._db.read(list_pdus, ids)
        state = [Event.load(pdu, room.version, name, join.room_id) for name, pdu in pdus.items()]
        verdict = by_state(join, {event.key: event for event in state if event.key is not None})
        if isinstance(verdict, Reject):
            raise Forbidden(verdict.reason)

    # ------------------------------------------------------------------------------------------- in the turn

    async def _arrive(self, room: _Room) -> None:
        for _ in range(TRIES):
            head = await self._heads.find(room.join.room_id)
            if head is not None and head.summary.get("local_joined", 0) > 0:
                # Somebody else here was faster: the join is an event like any other.
                if await self._follow(head, room):
                    return
            elif await self._try(head, room):
                self._heads.forget(room.join.room_id)
                if room.partial is not None:
                    self._completion.wake()
                return
            self._heads.forget(room.join.room_id)
        raise RuntimeError(f"the head of {room.join.room_id} moves too fast")

    async def _follow(self, head: Head, room: _Room) -> bool:
        stored = Stored(room.join, room.own.nid, room.own.height)
        known = {**room.known, **await self._db.read(find_known, room.join.prev_events)}
        outcome = await self._forking.place(head, stored, known, room.rows, outgoing=False, redacted_by=None)
        if outcome is not None and outcome.refused is not None:
            raise Forbidden(outcome.refused)
        return outcome is not None

    async def _try(self, head: Head | None, room: _Room) -> bool:
        if head is None:
            arrival = await self._new(room)
        elif room.partial is not None:
            raise MatrixError(
                ErrCode.UNKNOWN, "The room is here already: ask for all its members", status=409
            )
        else:
            arrival = await self._again(head, room)
        return await self._db.write(arrive, arrival) is not None

    async def _new(self, room: _Room) -> Arrival:
        """The room was never here: its state gets a line of its own, written in parts before anything refers to it."""
        line = (await self._ids.lines.take(1))[0]
        rows = room.rows
        await self._db.write(begin_line, room.join.room_id, line, len(rows))
        for part in parts(list(rows.items()), ROWS_AT_ONCE):
            await self._db.write(add_rows, line, part)
        memberships = room.memberships.values()
        for members in parts([row for row in memberships if not row["local"]], ROWS_AT_ONCE):
            await self._db.write(add_memberships, members)
        rest = [row for row in memberships if row["local"]]
        return await self._arrival(room, None, line, BEFORE_JOIN, {}, dict(room.summary), rest, [])

    async def _again(self, head: Head, room: _Room) -> Arrival:
        """All users here had left the room: its state is trusted anew."""
        told = await self._db.snapshot(given, head.point, room.rows)
        changes = await self._db.snapshot(changes_to, head.point, told)
        summary = dict(head.summary)
        memberships, local_members = await self._forking.follow_changes(summary, head.point, changes)
        return await self._arrival(
            room, head, head.line, head.ver, changes, summary, memberships, local_members
        )

    async def _arrival(
        self,
        room: _Room,
        head: Head | None,
        line: int,
        ver: int,
        changes: Mapping[int, int | None],
        summary: Summary,
        memberships: list[dict[str, Any]],
        local_members: list[str],
    ) -> Arrival:
        join, own = room.join, room.own
        key: StateKey = (MEMBER, join.state_key or "")
        replaced = room.state.get(key)
        was = room.memberships.get(join.state_key or "", {}).get("membership")
        summarize(summary, join, is_new=replaced is None)
        count_member(summary, was, membership_in(join), local=True)
        rows = [row for row in memberships if row["user_id"] != join.state_key]
        stored = Stored(join, own.nid, own.height)
        row = plain_row(stored, client_skeleton(join), self._clock.now())
        row["replaces"] = replaced
        create = room.create
        assert create is not None
        before = await self._db.read(find_known, join.prev_events)
        here = {event_id for event_id, one in before.items() if one.is_placed}
        extremity = Extremity(own.nid, join.event_id, join.depth, own.height)
        return Arrival(
            room_id=join.room_id,
            version=room.version.id,
            creator=create.sender,
            created_at=create.origin_server_ts,
            expected=None if head is None else head.head_seq,
            line=line,
            ver=ver,
            changes=changes,
            join_key=room.numbers[key],
            head=HeadWrite(
                extremities=msgspec.json.encode([extremity]).decode(),
                line=line,
                ver=ver,
                head_seq=0 if head is None else head.head_seq + 1,
                notify_count=0 if head is None else head.notify_count,
                highlight_count=0 if head is None else head.highlight_count,
                thread_notify_count=0 if head is None else head.thread_notify_count,
            ),
            event=EventWrite(row=row, payload=None, state_key=key, is_known=True),
            auth=[],
            follows=join.prev_events,
            missing=[prev for prev in join.prev_events if prev not in here],
            memberships=[*rows, membership_row(join, local=True)],
            local_members=[*local_members, join.state_key or ""],
            summary=summary,
            lines=await self._ids.lines.take(2 * LINES_PER_WRITE),
            purges=room.purges,
            partial=room.partial,
            servers=room.servers,
        )

    def _is_local(self, event: Event) -> bool:
        return find_server_of(event.state_key or "") == self._server_name


def _unusable(origin: str, why: str) -> MatrixError:
    return MatrixError(ErrCode.UNKNOWN, f"{origin} gave no room that can be joined: {why}", status=502)
