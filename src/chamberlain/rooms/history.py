"""A room's history as its readers page through it (client-server API, Getting events for a room)."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
import orjson

from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.rooms.access import reach_of
from chamberlain.rooms.bundles import seen_as_json
from chamberlain.rooms.pipeline.backfill import Backfill
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.serialize import Viewer, client_events
from chamberlain.rooms.stream_tokens import HistoryToken, parse_token
from chamberlain.rooms.visible import Seen, visible_events
from chamberlain.rooms.walk import Walk, wants_all
from chamberlain.rooms.way import Stretch, Token, Way
from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database
from chamberlain.store.events import StoredEvent, find_stored, list_by_nid
from chamberlain.store.history import (
    BEGINNING,
    END,
    NOTHING,
    Place,
    Window,
    cut_at,
    place_after,
    place_before,
)
from chamberlain.store.known import deepest_edge
from chamberlain.store.room_state import point_after
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import get_many, members, without_members
from chamberlain.store.sync import cited_members
from chamberlain.store.tx import Read

Direction = Literal["f", "b"]
MAX_LIMIT: Final = 1_000
FETCHES: Final = 3
"""How often others are asked for more of the history for one page of it."""
NEAR: Final = 200
"""Up to so many events are read without leaving the event loop."""
_OPEN: Final = RoomEventFilter()


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What of a room's history is wanted. The limit is brought into 1 to 1,000."""

    backwards: bool
    limit: int = 10
    start: str | None = None
    stop: str | None = None
    filter: RoomEventFilter = _OPEN

    @property
    def size(self) -> int:
        """How many events to give at most."""
        return min(max(self.filter.limit_within(self.limit, self.limit), 1), MAX_LIMIT)


class _Page(msgspec.Struct, frozen=True):
    """A page of the history. `gap`: the depths between which it lacks something that others may have."""

    body: bytes
    gap: tuple[int, int] | None = None


class History:
    """Gives events to those who may see them."""

    def __init__(self, db: Database, clock: Clock, heads: Heads, backfill: Backfill) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._backfill = backfill

    async def messages(self, viewer: Viewer, room_id: str, query: Query) -> bytes:
        """Give a page of the history as the JSON body of /messages; what is not here of it is fetched from others.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
            InvalidParam: a token is none.
        """
        reach = await reach_of(self._db, self._heads, room_id, viewer.user_id)
        start, stop = token_of(query.start, "from"), token_of(query.stop, "to")
        is_short = wants_all(query.filter) and query.size <= NEAR
        run = self._db.read if is_short else self._db.snapshot
        now = self._clock.now()
        for _ in range(FETCHES):
            page = await run(_messages, viewer, room_id, query, (start, stop), reach, now)
            if page.gap is None or not await self._backfill.before(room_id, *page.gap):
                return page.body
        # There is more: it is for the next page, which begins where this one meets the gap.
        page = await run(_messages, viewer, room_id, query, (start, stop), reach, now, upto_gap=True)
        return page.body

    async def event(self, viewer: Viewer, room_id: str, event_id: str) -> bytes:
        """Give one event in the client form.

        Raises:
            NotFound: the room has no such event, or the user may not see it.
        """
        return await self._db.read(_event, viewer, room_id, event_id, self._clock.now())

    async def event_anywhere(self, viewer: Viewer, event_id: str) -> bytes:
        """Give one event in the client form, whichever room it is of.

        Raises:
            NotFound: there is no such event, or the user may not see it.
        """
        return await self._db.read(_event, viewer, None, event_id, self._clock.now())

    async def context(
        self, viewer: Viewer, room_id: str, event_id: str, *, limit: int, filter: RoomEventFilter = _OPEN
    ) -> bytes:
        """Give an event, at most `limit` events around it and the state after them, as the body of /context.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
            NotFound: the room has no such event, or the user may not see it.
        """
        reach = await reach_of(self._db, self._heads, room_id, viewer.user_id)
        around = min(max(limit, 0), MAX_LIMIT)
        return await self._db.snapshot(
            _context, viewer, room_id, event_id, around, filter, reach, self._clock.now()
        )


def token_of(text: str | None, name: str) -> Token | None:
    """Give the token of a request, None where it has none.

    Raises:
        InvalidParam: it is no token.
    """
    if text is None:
        return None
    token = parse_token(text)
    if token is None:
        raise InvalidParam(f"`{name}` is no token of this server")
    return token


def token_at(place: Place, window: Window) -> str:
    """The token of a place in the history."""
    return str(HistoryToken(*place, window))


async def window_now(tx: Read, room_id: str) -> Window:
    """Give the window of all that is here of a room."""
    return Window(NOTHING, await cut_at(tx, room_id))


async def find_seen(tx: Read, user_id: str, room_id: str | None, event_id: str) -> Seen:
    """Give an event of the room, or of any, that the user may see.

    Raises:
        NotFound: the room has no such event, or the user may not see it.
    """
    event = await find_stored(tx, event_id)
    # What was refused, however softly, has no position.
    if event is None or event.room_id != (room_id or event.room_id) or event.position is None:
        raise NotFound("The room has no such event")
    seen = await visible_events(tx, [event], user_id)
    if not seen:
        raise NotFound("The room has no such event")
    return seen[0]


async def _messages(
    tx: Read,
    viewer: Viewer,
    room_id: str,
    query: Query,
    tokens: tuple[Token | None, Token | None],
    reach: Place,
    now: int,
    *,
    upto_gap: bool = False,
) -> _Page:
    """`upto_gap`: end the page where history breaks off."""
    way = Way(tx, room_id, backwards=query.backwards)
    stretch = _within(await way.begin(*tokens), reach)
    start = query.start or str(way.token(stretch))
    seen, end, gap = await _go_through(tx, viewer, query, stretch, query.size, upto_gap)
    while end is None and (following := await way.go_on(stretch)) is not None:
        stretch = _within(following, reach)
        if gap is not None or len(seen) == query.size:
            end = way.token(stretch)
            break
        more, end, gap = await _go_through(tx, viewer, query, stretch, query.size - len(seen), upto_gap)
        seen += more
    if end is None and not query.backwards and seen and stretch.high == END:
        # What comes next will be after it.
        end = way.token(stretch, place_after(seen[-1].event))
    parts = [b'{"start":%b' % orjson.dumps(start)]
    parts.append(b',"chunk":[%b]' % b",".join(await seen_as_json(tx, seen, viewer, now)))
    if end is not None:
        parts.append(b',"end":%b' % orjson.dumps(str(end)))
    if query.filter.lazy_load_members and seen:
        senders = await _senders(tx, [one.event for one in seen])
        parts.append(b',"state":[%b]' % b",".join(await client_events(tx, senders, viewer, now)))
    return _Page(b"".join(parts) + b"}", gap)


async def _go_through(
    tx: Read, viewer: Viewer, query: Query, stretch: Stretch, limit: int, upto_gap: bool
) -> tuple[list[Seen], HistoryToken | None, tuple[int, int] | None]:
    """Events of a stretch, where to go on in it, and the depths between which it lacks something."""
    room_id, low, high, window = stretch.room_id, stretch.low, stretch.high, stretch.window
    walk = Walk(room_id, viewer.user_id, query.filter, window)
    found, more = await walk.collect(tx, low, high, backwards=query.backwards, limit=limit)
    depths = (more or low)[0], high[0]
    edge = await deepest_edge(tx, room_id, *depths) if query.backwards else None
    if edge is None:
        return found, None if more is None else HistoryToken(*more, window), None
    behind = edge, BEGINNING[1]
    if upto_gap and behind < high:
        found, more = [one for one in found if one.event.depth >= edge], behind
    elif more is None and found and low == BEGINNING and window.after == NOTHING:
        # There is more where others are.
        more = place_before(found[-1].event)
    return found, None if more is None else HistoryToken(*more, window), depths


def _within(stretch: Stretch, reach: Place) -> Stretch:
    return stretch if stretch.high <= reach else msgspec.structs.replace(stretch, high=reach)


async def _senders(tx: Read, events: Sequence[StoredEvent]) -> list[StoredEvent]:
    """The member events of those who sent the events, as they were at the newest one."""
    newest = max(events, key=place_before)
    where = _point_before(newest)
    if where is None:
        return []
    keys = await find_keys(tx, {(MEMBER, event.sender) for event in events})
    nids = await get_many(tx, where, keys.values())
    found = list((await list_by_nid(tx, nids.values())).values())
    unknown = {event.sender for event in events}.difference(event.state_key for event in found)
    return found + await cited_members(tx, {newest.room_id: unknown})


async def _event(tx: Read, viewer: Viewer, room_id: str | None, event_id: str, now: int) -> bytes:
    seen = await find_seen(tx, viewer.user_id, room_id, event_id)
    return (await seen_as_json(tx, [seen], viewer, now))[0]


async def _context(
    tx: Read,
    viewer: Viewer,
    room_id: str,
    event_id: str,
    limit: int,
    filter: RoomEventFilter,
    reach: Place,
    now: int,
) -> bytes:
    seen = await find_seen(tx, viewer.user_id, room_id, event_id)
    window = await window_now(tx, room_id)
    walk = Walk(room_id, viewer.user_id, filter, window)
    here = place_before(seen.event)
    before, start = await walk.collect(tx, BEGINNING, here, backwards=True, limit=limit // 2)
    edge = await deepest_edge(tx, room_id, (start or BEGINNING)[0], here[0])
    if edge is not None:
        # What is missing comes before what is older: whoever pages back from `start` has it fetched.
        before, start = [one for one in before if one.event.depth >= edge], (edge, BEGINNING[1])
    after, end = await walk.collect(
        tx, place_after(seen.event), reach, backwards=False, limit=limit - len(before)
    )
    oldest, newest = (before or [seen])[-1].event, (after or [seen])[-1].event
    forms = await seen_as_json(tx, [*before, seen, *after], viewer, now)
    state = await _state(tx, newest, [one.event for one in (*before, seen, *after)], filter)
    split = len(before)
    return b'{"start":%b,"end":%b,"events_before":[%b],"event":%b,"events_after":[%b],"state":[%b]}' % (
        orjson.dumps(token_at(start or place_before(oldest), window)),
        orjson.dumps(token_at(end or place_after(newest), window)),
        b",".join(forms[:split]),
        forms[split],
        b",".join(forms[split + 1 :]),
        b",".join(await client_events(tx, state, viewer, now)),
    )


async def _state(
    tx: Read, at: StoredEvent, events: Sequence[StoredEvent], filter: RoomEventFilter
) -> list[StoredEvent]:
    """The state after an event, as far as the filter wants it; lazily: of members only those who sent something."""
    point = await point_after(tx, at.event_id) or _point_before(at)
    if point is None:
        return []
    nids = set((await without_members(tx, point)).values())
    if filter.lazy_load_members:
        keys = await find_keys(tx, {(MEMBER, event.sender) for event in events})
        nids.update((await get_many(tx, point, keys.values())).values())
    else:
        nids.update((await members(tx, point)).values())
    found = await list_by_nid(tx, nids)
    return [
        event for event in found.values() if filter.wants_event(event.type, event.sender, event.contains_url)
    ]


def _point_before(event: StoredEvent) -> Point | None:
    if event.before_line is None or event.before_ver is None:
        return None
    return event.before_line, event.before_ver
