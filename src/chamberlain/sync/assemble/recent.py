"""Rooms of an answer from the last changes in memory, for clients that keep up.

One event costs each of those who get it a few dictionary look-ups; what has to be read for it is read once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.rooms.serialize import client_event, load_extras
from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent
from chamberlain.store.receipts import Receipt, in_rooms_since
from chamberlain.store.sync import Facts, current_members, facts
from chamberlain.store.tx import Change
from chamberlain.sync.assemble.block import NAMING, Ask, Block
from chamberlain.sync.assemble.timeline import batch_before
from chamberlain.sync.log import Entry, RoomLog
from chamberlain.sync.marks import Marks

ROOMS_KEPT: Final = 4_000


class Recent:
    """Makes blocks of what the logs of rooms hold."""

    def __init__(self, db: Database, marks: Marks) -> None:
        self._db = db
        self._marks = marks
        self._facts: Cache[str, Facts] = Cache(ROOMS_KEPT, "room facts")
        self._members: Cache[str, dict[str, StoredEvent]] = Cache(ROOMS_KEPT, "room members")
        self._drops = 0
        db.subscribe(self._changed)

    def stretches(self, logs: Iterable[RoomLog], since: int, upto: int) -> dict[str, list[Entry]] | None:
        """What happened in rooms at since < position <= upto; None where their logs do not hold all of it.

        It has to be taken at once: a log forgets when other workers act in its room.
        """
        found: dict[str, list[Entry]] = {}
        for log in logs:
            entries = found[log.room_id] = log.since(since, upto)
            if log.floor > since or any(entry.is_stale for entry in entries):
                return None
        return found

    async def blocks(
        self,
        ask: Ask,
        logs: Sequence[RoomLog],
        stretches: Mapping[str, Sequence[Entry]],
        upto: int,
        own_receipts: Mapping[str, list[Receipt]],
    ) -> dict[str, Block]:
        """Give the blocks of rooms that the user was in all the time.

        `stretches`: what happened in them; `own_receipts`: the user's private ones that moved.
        """
        assert ask.since is not None
        unread = await self._marks.of(ask.user_id, logs)
        blocks: dict[str, Block] = {}
        for log in logs:
            entries = [entry for entry in stretches[log.room_id] if entry.position <= upto]
            block = await self._events(ask, log, entries)
            block.unread = unread[log.room_id]
            own = own_receipts.get(log.room_id)
            block.receipts = [*await self._receipts(log, ask.since, upto), *(own or ())]
            block.shows_counts = own is not None
            blocks[log.room_id] = block
        return blocks

    async def _events(self, ask: Ask, log: RoomLog, entries: Sequence[Entry]) -> Block:
        if not entries:
            return Block()
        shown = [entry for entry in entries if ask.wants_in_timeline(entry.event)]
        limited = len(shown) > ask.limit
        if limited:
            shown = shown[len(shown) - ask.limit :]
        state = _state_beside(ask, entries, shown)
        block = Block(limited=limited)
        if any(entry.event.state_key is not None and entry.event.type in NAMING for entry in entries):
            block.facts = await self._facts_of(log.room_id)
        if ask.is_lazy:
            state += await self._lazy_members(ask, log.room_id, shown, state, block.facts)
            block.members = [
                event.state_key
                for event in (*state, *(entry.event for entry in shown))
                if event.type == MEMBER and event.state_key is not None
            ]
        await self._load_extras(shown)
        block.timeline = [
            client_event(entry.event, ask.viewer, ask.now, "join", entry.extra or b"") for entry in shown
        ]
        block.prev_batch = _prev_batch(ask.epoch, entries, shown)
        block.state = await self._write_state(ask, state)
        return block

    async def _load_extras(self, entries: Sequence[Entry]) -> None:
        missing = [entry for entry in entries if entry.extra is None]
        if missing:
            extras = await self._db.read(load_extras, [entry.event for entry in missing])
            for entry in missing:
                entry.extra = extras.get(entry.event.event_id, b"")

    async def _write_state(self, ask: Ask, state: Sequence[StoredEvent]) -> list[bytes]:
        wanted = [event for event in state if ask.wants_in_state(event)]
        if not wanted:
            return []
        extras = await self._db.read(load_extras, wanted)
        return [
            client_event(event, ask.viewer, ask.now, None, extras.get(event.event_id, b""))
            for event in wanted
        ]

    async def _facts_of(self, room_id: str) -> Facts | None:
        known = self._facts.get(room_id)
        if known is None:
            drops = self._drops
            known = (await self._db.snapshot(facts, [room_id])).get(room_id)
            if known is not None and drops == self._drops:
                self._facts.set(room_id, known)
        return known

    async def _lazy_members(
        self,
        ask: Ask,
        room_id: str,
        shown: Sequence[Entry],
        state: Sequence[StoredEvent],
        known: Facts | None,
    ) -> list[StoredEvent]:
        there = {event.state_key for event in state if event.type == MEMBER}
        if not ask.state_after:
            there.update(entry.event.state_key for entry in shown if entry.event.type == MEMBER)
        needed = {entry.event.sender for entry in shown}
        if known is not None and not known.is_named:
            needed.update(known.heroes_for(ask.user_id))
        missing = [user for user in needed if user not in there and not ask.knows(room_id, user)]
        return await self._members_of(room_id, missing) if missing else []

    async def _members_of(self, room_id: str, user_ids: Sequence[str]) -> list[StoredEvent]:
        kept = self._members.get(room_id)
        if kept is None:
            kept = {}
            self._members.set(room_id, kept)
        unknown = [user_id for user_id in user_ids if user_id not in kept]
        found = dict(kept)
        if unknown:
            drops = self._drops
            for event in (await self._db.read(current_members, {room_id: unknown}))[room_id]:
                found[event.state_key or ""] = event
            if drops == self._drops:
                kept.update(found)
        return [found[user_id] for user_id in user_ids if user_id in found]

    async def _receipts(self, log: RoomLog, since: int, upto: int) -> list[Receipt]:
        if since < log.receipts_floor:
            return await self._db.read(in_rooms_since, [log.room_id], since, upto)
        return list(log.receipts_since(since, upto))

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind != kinds.EVENT:
                continue
            arrived = change.payload
            if not isinstance(arrived, Arrived):
                self._drops += 1
                self._facts.pop(change.entity)
                self._members.pop(change.entity)
            elif arrived.event.type == "m.room.redaction":
                # What it took away may be a name, or that of a member.
                self._drops += 1
                self._facts.pop(change.entity)
                self._members.pop(change.entity)
            elif arrived.event.state_key is not None and arrived.event.type in NAMING:
                self._drops += 1
                self._facts.pop(change.entity)
                if arrived.event.type == MEMBER:
                    members = self._members.get(change.entity)
                    if members is not None:
                        members.pop(arrived.event.state_key, None)


def _state_beside(ask: Ask, entries: Sequence[Entry], shown: Sequence[Entry]) -> list[StoredEvent]:
    """The state that changed and that the timeline does not bring; all that changed, for `state_after`."""
    newest: dict[StateKey, StoredEvent] = {}
    in_timeline = set() if ask.state_after else {entry.position for entry in shown}
    brought: set[StateKey] = set()
    for entry in entries:
        event = entry.event
        if event.state_key is None:
            continue
        key = (event.type, event.state_key)
        if entry.position in in_timeline:
            brought.add(key)
        elif key not in brought:
            newest[key] = event
    return list(newest.values())


def _prev_batch(epoch: str, entries: Sequence[Entry], shown: Sequence[Entry]) -> str:
    return batch_before(epoch, shown[0].position if shown else entries[-1].position + 1)
