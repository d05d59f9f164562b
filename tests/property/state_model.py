"""Room state told twice: by a naive model in which each event has a full state map, and by the store."""

import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from chamberlain.store import state
from chamberlain.store.tx import Placement, Write
from tests.support.rows import insert

ROOM = "!room:example.org"
State = dict[int, int]


def stand_in(
    conflicts: Mapping[int, Sequence[int | None]], unconflicted: Callable[[int], int | None], witness: int
) -> State:
    """A resolution that hangs on all values, on one unconflicted key, on no order, and lets keys vanish."""
    seen = None if witness in conflicts else unconflicted(witness)
    resolved: State = {}
    for key, values in conflicts.items():
        different = sorted({-1 if value is None else value for value in values})
        chosen = different[zlib.crc32(repr((key, different, seen)).encode()) % len(different)]
        if chosen != -1:
            resolved[key] = chosen
    return resolved


class Arrival(msgspec.Struct, kw_only=True):
    """One event as both tellings get it."""

    nid: int
    key: int | None
    prevs: list[int]
    given: list[State] = []
    rejected: bool = False
    soft_failed: bool = False
    backfilled: bool = False
    rejoin: bool = False
    """The given state replaces the current one."""
    hint: int | None = None
    """The event whose state is likely to be near the given one."""


class Naive:
    """Each event has its full state before and after it."""

    def __init__(self, witness: int) -> None:
        self.witness = witness
        self.arrivals: dict[int, Arrival] = {}
        self.before: dict[int, State] = {}
        self.after: dict[int, State] = {}
        self.extremities: set[int] = set()
        self.current: State = {}
        self.positions: list[State] = [{}]

    def merged(self, states: Sequence[State]) -> State:
        """The resolution of some states."""
        conflicts: dict[int, list[int | None]] = {}
        for key in {key for one in states for key in one}:
            values = [one.get(key) for one in states]
            if any(value != values[0] for value in values):
                conflicts[key] = values
        if not conflicts:
            return states[0]
        rest = {key: event for key, event in states[0].items() if key not in conflicts}
        return rest | stand_in(conflicts, states[0].get, self.witness)

    def _set(self, event: Arrival) -> None:
        before = self.merged([self.after[prev] for prev in event.prevs] + event.given)
        self.before[event.nid] = self.after[event.nid] = before
        if event.key is not None and not event.rejected:
            self.after[event.nid] = {**before, event.key: event.nid}

    def _move(self) -> None:
        self.current = self.merged([self.after[nid] for nid in sorted(self.extremities)])

    def persist(self, event: Arrival) -> None:
        """Take an event in."""
        self.arrivals[event.nid] = event
        self._set(event)
        self.extremities = extremities_with(event, self.extremities, self.arrivals)
        if self.extremities and not event.backfilled:
            self._move()
        self.positions.append(self.current)

    def restate(self, nid: int, given: State) -> None:
        """The state before an event is another one than was thought."""
        self.arrivals[nid].given = [given]
        anew: set[int] = set()
        for event in self.arrivals.values():
            if event.nid == nid or not anew.isdisjoint(event.prevs):
                anew.add(event.nid)
                self._set(event)
        self._move()
        self.positions.append(self.current)

    def purge(self, kept: set[int]) -> None:
        """Forget all other events."""
        self.arrivals = {nid: event for nid, event in self.arrivals.items() if nid in kept}
        for event in self.arrivals.values():
            event.prevs = [prev for prev in event.prevs if prev in kept]


def extremities_with(event: Arrival, before: set[int], arrivals: Mapping[int, Arrival]) -> set[int]:
    """The forward extremities of the room with this event."""
    if event.rejoin:
        return {event.nid}
    if event.rejected or event.soft_failed or event.backfilled:
        return set(before)
    gone, waiting, seen = set(event.prevs), list(event.prevs), set[int]()
    while waiting:
        nid = waiting.pop()
        if nid in seen or nid not in arrivals:
            continue
        seen.add(nid)
        if arrivals[nid].rejected or arrivals[nid].soft_failed:
            gone.update(arrivals[nid].prevs)
            waiting.extend(arrivals[nid].prevs)
    return (before - gone) | {event.nid}


class Stored:
    """The same by the store, put together as the event pipeline does it."""

    def __init__(self, tx: Write, witness: int) -> None:
        self.tx = tx
        self.witness = witness
        self.arrivals: dict[int, Arrival] = {}
        self.extremities: set[int] = set()
        self.current: state.Point = (0, 0)
        self.position = 0
        self._lines = itertools.count(1)
        self._told: state.Point | None = None

    def _some_lines(self) -> Iterable[int]:
        return itertools.islice(self._lines, state.LINES_PER_WRITE)

    async def start(self) -> None:
        """Make the room."""
        self.current = await state.new_room_line(self.tx, ROOM, next(self._lines))
        await insert(
            self.tx,
            "rooms",
            room_id=ROOM,
            cur_line=self.current[0],
            cur_ver=self.current[1],
            extremities="[]",
        )
        await self._tell()

    async def _tell(self) -> None:
        """Write down where the current state stands, if it moved."""
        if self._told != self.current:
            self._told = self.current
            placement = Placement("event", ROOM, None, None)
            state.note_position(placement, ROOM, self.current)
            for sql, row in placement.rows:
                await self.tx.run(sql, position=self.position, **row)  # type: ignore[arg-type]
            await self._save_head()
        self.position += 1

    async def _save_head(self) -> None:
        await self.tx.run(
            "UPDATE rooms SET cur_line = :line, cur_ver = :ver", line=self.current[0], ver=self.current[1]
        )

    async def _insert(self, event: Arrival, before: state.Point, after: state.Point | None) -> None:
        self.arrivals[event.nid] = event
        name = None if event.key is None else (await state.names_of(self.tx, [event.key]))[event.key]
        await insert(
            self.tx,
            "events",
            nid=event.nid,
            event_id=f"${event.nid}",
            room_id=ROOM,
            type="m.room.message" if name is None else name[0],
            state_key=None if name is None else name[1],
            before_line=before[0],
            before_ver=before[1],
            after_line=None if after is None else after[0],
            after_ver=None if after is None else after[1],
            rejected="refused" if event.rejected else None,
            soft_failed=event.soft_failed,
        )

    async def _merged(self, views: Sequence[state.View]) -> state.View:
        comparison = await state.compare(self.tx, views)
        first = comparison.views[0]
        seen = (
            first.changes.get(self.witness)
            if self.witness in first.changes
            else (await state.get(self.tx, first.point, self.witness))
        )
        resolved = stand_in(comparison.conflicts, lambda _: seen, self.witness)
        return await state.settle(self.tx, comparison, resolved, self.current)

    async def _place(self, event: Arrival) -> state.Point:
        """Where the state before the event stands."""
        hint = self.current if event.hint is None else await state.before(self.tx, event.hint)
        assert hint is not None
        views = await state.after(self.tx, event.prevs)
        views += [await state.given(self.tx, hint, one) for one in event.given]
        merged = await self._merged(views)
        point = await state.place(
            self.tx,
            ROOM,
            merged,
            self.current,
            iter(self._some_lines()),
            backfilled=event.backfilled and not event.prevs,
        )
        if not event.given and len(event.prevs) == 1 and views[0].changes:
            await state.remember_after(self.tx, event.prevs[0], point)
        return point

    async def persist(self, event: Arrival) -> None:
        """Take an event in."""
        if event.rejoin:
            view = await state.given(self.tx, self.current, event.given[0])
            if view.changes:
                await self._advance(view.changes)
            point = self.current
        elif not event.given and set(event.prevs) == self.extremities:
            point = self.current
        else:
            point = await self._place(event)
        await self._insert(event, point, None)
        extremities = extremities_with(event, self.extremities, self.arrivals)
        if extremities != self.extremities or event.rejoin:
            self.extremities = extremities
            await self._move()
            if extremities == {event.nid} and event.key is not None and not event.rejected:
                await state.remember_after(self.tx, event.nid, self.current)
        await self._tell()

    async def persist_chain(self, chain: Sequence[Arrival]) -> None:
        """Take in local state events, each of which follows the one before, as one batch."""
        line, version = self.current
        changes = [(event.key, event.nid) for event in chain if event.key is not None]
        await state.append_many(self.tx, [(line, version, changes)])
        for event in chain:
            self.current = (line, self.current[1] + 1)
            await self._insert(event, (line, self.current[1] - 1), self.current)
            await self._tell()
        self.extremities = {chain[-1].nid}
        await self._renew(version)

    async def _renew(self, version: int) -> None:
        self.current = await state.renew(self.tx, ROOM, version, self.current, iter(self._some_lines()))
        await self._save_head()

    async def _move(self) -> None:
        """Make the current state what the extremities say."""
        merged = await self._merged(await state.after(self.tx, sorted(self.extremities)))
        changes = await state.changes_to(self.tx, self.current, merged)
        if changes:
            await self._advance(changes)

    async def _advance(self, changes: Mapping[int, int | None]) -> None:
        self.current = await state.advance_current(
            self.tx, ROOM, self.current, changes, iter(self._some_lines())
        )

    async def restate(self, nid: int, given: State) -> None:
        """The state before an event is another one than was thought."""
        self.arrivals[nid].given = [given]
        self.arrivals[nid].hint = None
        anew: set[int] = set()
        for event in self.arrivals.values():
            if event.nid == nid or not anew.isdisjoint(event.prevs):
                anew.add(event.nid)
                event.hint = None
                await state.replace_before(self.tx, event.nid, await self._place(event))
        await self._move()
        await self._tell()

    async def purge(self, kept: set[int], keep_from: int) -> None:
        """Forget all other events and the older positions."""
        await self.tx.run("DELETE FROM events WHERE nid <> ALL(:kept)", kept=list(kept))
        await state.purge(self.tx, ROOM, keep_from)
        self.arrivals = {nid: event for nid, event in self.arrivals.items() if nid in kept}
        for event in self.arrivals.values():
            event.prevs = [prev for prev in event.prevs if prev in kept]
