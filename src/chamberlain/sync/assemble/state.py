"""The `state` and `state_after` of rooms (client-server API, Syncing, Lazy-loading room members).

`state_after` is what differs at the end of the timeline. For `state`, what the timeline itself brings is put back
to what its oldest event for that piece of state replaced.
"""

from collections.abc import Iterable, Mapping, Sequence

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import StateKey
from chamberlain.store.events import StoredEvent, list_by_nid, list_stored
from chamberlain.store.partial import completed_since
from chamberlain.store.state.difference import difference
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import full, get_many, point_at, without_members
from chamberlain.store.sync import current_members, current_points, current_states
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import Ask
from chamberlain.sync.assemble.timeline import Timeline

States = dict[str, list[StoredEvent]]


async def full_states(tx: Read, ask: Ask, timelines: Sequence[Timeline]) -> States:
    """Give all state of rooms that the user is joined to, for a device that knows nothing of them."""
    if ask.filter.room.state.is_closed:
        return {timeline.room_id: [] for timeline in timelines}
    rooms = [timeline.room_id for timeline in timelines]
    points = await _where_not_current(tx, timelines)
    ends = await current_states(tx, [room for room in rooms if room not in points], members=not ask.is_lazy)
    for room_id, point in points.items():
        ends[room_id] = await _at(tx, point, ask)
    if ask.is_lazy:
        await _add_lazy_members(tx, ask, timelines, ends, points)
    earlier = await _replaced(tx, ask, timelines)
    return {
        timeline.room_id: _wanted(ask, _before_timeline(ask, timeline, ends[timeline.room_id], earlier, -1))
        for timeline in timelines
    }


async def left_state(tx: Read, ask: Ask, timeline: Timeline, since: int | None) -> list[StoredEvent]:
    """Give the state of a room that the user has left, as it was then; since a position, or all of it."""
    if ask.filter.room.state.is_closed:
        return []
    point = await point_at(tx, timeline.room_id, timeline.upto)
    if point is None:
        return []
    old = None if since is None else await point_at(tx, timeline.room_id, since)
    earlier = await _replaced(tx, ask, [timeline])
    if old is None:
        state = await _at(tx, point, ask)
    else:
        state = await _changed(tx, old, point)
    states = {timeline.room_id: state}
    if ask.is_lazy:
        await _add_lazy_members(tx, ask, [timeline], states, {timeline.room_id: point})
    known_to = -1 if old is None or since is None else since
    return _wanted(ask, _before_timeline(ask, timeline, states[timeline.room_id], earlier, known_to))


async def changed_states(tx: Read, ask: Ask, timelines: Sequence[Timeline], since: int) -> States:
    """Give what of the state of rooms the user is joined to differs from what it was at `since`."""
    if ask.filter.room.state.is_closed:
        return {timeline.room_id: [] for timeline in timelines}
    ends: States = {}
    known_to: dict[str, int] = {}
    completed = await completed_since(tx, [timeline.room_id for timeline in timelines], since)
    for timeline in timelines:
        room_id = timeline.room_id
        # Where members became known, the state has more than its changes tell.
        old = None if room_id in completed else await point_at(tx, room_id, since)
        new = await point_at(tx, room_id, timeline.upto)
        known_to[room_id] = -1 if old is None else since
        if new is None:
            ends[room_id] = []
        else:
            ends[room_id] = await (_at(tx, new, ask) if old is None else _changed(tx, old, new))
    if ask.is_lazy:
        await _add_lazy_members(tx, ask, timelines, ends, {})
    earlier = await _replaced(tx, ask, timelines)
    return {
        room_id: _wanted(ask, _before_timeline(ask, timeline, ends[room_id], earlier, known_to[room_id]))
        for room_id, timeline in ((timeline.room_id, timeline) for timeline in timelines)
    }


async def _where_not_current(tx: Read, timelines: Sequence[Timeline]) -> dict[str, Point]:
    """The points of those rooms whose state has moved on since the end of the stretch that is asked for."""
    points = await current_points(tx, [timeline.room_id for timeline in timelines])
    found: dict[str, Point] = {}
    for timeline in timelines:
        if timeline.is_now:
            continue
        point = await point_at(tx, timeline.room_id, timeline.upto)
        if point is not None and point != points.get(timeline.room_id):
            found[timeline.room_id] = point
    return found


async def _at(tx: Read, point: Point, ask: Ask) -> list[StoredEvent]:
    nids: Iterable[int]
    nids = (await (without_members(tx, point) if ask.is_lazy else full(tx, point))).values()
    return list((await list_by_nid(tx, list(nids))).values())


async def _changed(tx: Read, old: Point, new: Point) -> list[StoredEvent]:
    changes = await difference(tx, old, new)
    nids = [now for _, now in changes.values() if now is not None]
    return list((await list_by_nid(tx, nids)).values()) if nids else []


async def _replaced(tx: Read, ask: Ask, timelines: Sequence[Timeline]) -> Mapping[str, StoredEvent]:
    """What the state events of timelines replaced, by event id."""
    if ask.state_after:
        return {}
    ids = {
        event.replaces for timeline in timelines for event in timeline.events if event.replaces is not None
    }
    return await list_stored(tx, ids) if ids else {}


def _before_timeline(
    ask: Ask,
    timeline: Timeline,
    state: Sequence[StoredEvent],
    earlier: Mapping[str, StoredEvent],
    known_to: int,
) -> list[StoredEvent]:
    """The state as it was before the timeline; the device has what arrived up to `known_to`."""
    if ask.state_after:
        return list(state)
    first: dict[StateKey, StoredEvent] = {}
    for event in timeline.events:
        if event.state_key is not None:
            first.setdefault((event.type, event.state_key), event)
    if not first:
        return list(state)
    kept = [event for event in state if (event.type, event.state_key) not in first]
    for event in first.values():
        replaced = None if event.replaces is None else earlier.get(event.replaces)
        if replaced is not None and (replaced.position is None or replaced.position > known_to):
            kept.append(replaced)
    return kept


def _missing_members(ask: Ask, timeline: Timeline, state: Sequence[StoredEvent]) -> list[str]:
    """The members whom the device needs to show the timeline, and has not."""
    there = {event.state_key for event in state if event.type == MEMBER}
    if not ask.state_after:
        there.update(event.state_key for event in timeline.events if event.type == MEMBER)
    needed = {event.sender for event in timeline.events} | timeline.also_needed
    return [
        user_id for user_id in needed if user_id not in there and not ask.knows(timeline.room_id, user_id)
    ]


async def _add_lazy_members(
    tx: Read, ask: Ask, timelines: Sequence[Timeline], states: States, points: Mapping[str, Point]
) -> None:
    """Add the members whom the device needs, as they are now, or at the room's point where it has one."""
    now: dict[str, list[str]] = {}
    for timeline in timelines:
        room_id = timeline.room_id
        missing = _missing_members(ask, timeline, states[room_id])
        if not missing:
            continue
        if room_id in points:
            keys = await find_keys(tx, [(MEMBER, user_id) for user_id in missing])
            nids = (await get_many(tx, points[room_id], keys.values())).values()
            states[room_id] = [*states[room_id], *(await list_by_nid(tx, list(nids))).values()]
        else:
            now[room_id] = missing
    if now:
        for room_id, members in (await current_members(tx, now)).items():
            states[room_id] = [*states[room_id], *members]


def _wanted(ask: Ask, state: Iterable[StoredEvent]) -> list[StoredEvent]:
    return [event for event in state if ask.wants_in_state(event)]
