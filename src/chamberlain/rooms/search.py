"""Searching what was said in all rooms of a user (client-server API, Server Side Search)."""

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import msgspec
import orjson

from chamberlain.matrix.errors import Forbidden, InvalidParam
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.filters import RoomEventFilter
from chamberlain.rooms.bundles import seen_as_json
from chamberlain.rooms.history import token_at, window_now
from chamberlain.rooms.reading import Reading
from chamberlain.rooms.search_index import SearchIndex
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.visible import Seen, visible_events
from chamberlain.rooms.walk import Walk
from chamberlain.rooms.words import KEYS, words_of
from chamberlain.runtime.clock import Clock
from chamberlain.store import memberships, search
from chamberlain.store.database import Database
from chamberlain.store.events import list_by_nid
from chamberlain.store.history import BEGINNING, END, place_after, place_before
from chamberlain.store.search import Hit
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.read import get_many
from chamberlain.store.tx import Read

Key = Literal["content.body", "content.name", "content.topic"]
GroupKey = Literal["room_id", "sender"]
MAX_LIMIT: Final = 100
MAX_CONTEXT: Final = 100
_ROUNDS: Final = 5
_TOKEN: Final = re.compile(r"n([0-9]{1,9})")
_OPEN: Final = RoomEventFilter()


class ContextWanted(msgspec.Struct, frozen=True):
    """How much of what is around a result is wanted."""

    before_limit: int = 5
    after_limit: int = 5
    include_profile: bool = False


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for; `groups` by which the results are told apart."""

    term: str
    keys: Sequence[Key] | None = None
    filter: RoomEventFilter = _OPEN
    by_rank: bool = True
    context: ContextWanted | None = None
    include_state: bool = False
    groups: Sequence[GroupKey] = ()


class _Found(msgspec.Struct, frozen=True):
    hits: list[tuple[Hit, Seen]]
    total: int
    more: int | None
    results: list[bytes]


class Search:
    """Finds events by their words, those that the user may see."""

    def __init__(self, db: Database, clock: Clock, index: SearchIndex, reading: Reading) -> None:
        self._db = db
        self._clock = clock
        self._index = index
        self._reading = reading

    async def room_events(self, viewer: Viewer, query: SearchQuery, next_batch: str | None) -> bytes:
        """Give a page of the events in which all words of the term stand, as the JSON body of /search.

        Raises:
            InvalidParam: `next_batch` is no token of a search.
        """
        skip = _skip_of(next_batch)
        words = words_of(query.term)
        rooms = await self._rooms(viewer.user_id, query.filter)
        if not words or not rooms:
            return _body(query, list(words), _Found([], 0, None, []), {})
        await self._index.catch_up()
        found = await self._db.snapshot(_find, viewer, query, list(words), rooms, skip, self._clock.now())
        states: dict[str, bytes] = {}
        if query.include_state:
            for room_id in dict.fromkeys(hit.event.room_id for hit, _ in found.hits):
                with suppress(Forbidden):
                    states[room_id] = await self._reading.state(viewer.user_id, room_id)
        return _body(query, list(words), found, states)

    async def _rooms(self, user_id: str, filter: RoomEventFilter) -> list[str]:
        rooms = await self._db.read(memberships.rooms_of, user_id, ("join", "leave", "ban"))
        return [room.room_id for room in rooms if not room.forgotten and filter.wants_room(room.room_id)]


def _skip_of(next_batch: str | None) -> int:
    if next_batch is None:
        return 0
    found = _TOKEN.fullmatch(next_batch)
    if found is None:
        raise InvalidParam("`next_batch` is no token of a search")
    return int(found[1])


async def _find(
    tx: Read, viewer: Viewer, query: SearchQuery, words: list[str], rooms: list[str], skip: int, now: int
) -> _Found:
    limit = min(max(query.filter.limit_within(10, MAX_LIMIT), 1), MAX_LIMIT)
    types = [KEYS[key] for key in query.keys or KEYS if query.filter.wants_type(KEYS[key])]
    hits: list[tuple[Hit, Seen]] = []
    total, more = 0, None
    for _ in range(_ROUNDS):
        batch = await search.find(
            tx,
            rooms,
            words,
            query.filter,
            types=types,
            by_rank=query.by_rank,
            skip=skip,
            limit=limit,
        )
        total = batch[0].total if batch else total
        seen = {
            one.event.nid: one for one in await visible_events(tx, [h.event for h in batch], viewer.user_id)
        }
        for hit in batch:
            skip += 1
            if hit.event.nid in seen:
                hits.append((hit, seen[hit.event.nid]))
            if len(hits) == limit:
                break
        more = skip if skip < total else None
        if len(batch) < limit or len(hits) == limit:
            break
    forms = await seen_as_json(tx, [seen for _, seen in hits], viewer, now)
    results = []
    for (hit, one), form in zip(hits, forms, strict=True):
        context = b""
        if query.context is not None:
            context = b',"context":' + await _context(tx, viewer, one, query.context, now)
        results.append(b'{"rank":%d,"result":%b%b}' % (hit.rank, form, context))
    return _Found(hits, total, more, results)


async def _context(tx: Read, viewer: Viewer, seen: Seen, wanted: ContextWanted, now: int) -> bytes:
    event = seen.event
    window = await window_now(tx, event.room_id)
    walk = Walk(event.room_id, viewer.user_id, _OPEN, window)
    before, start = await walk.collect(
        tx,
        BEGINNING,
        place_before(event),
        backwards=True,
        limit=min(max(wanted.before_limit, 0), MAX_CONTEXT),
    )
    after, end = await walk.collect(
        tx, place_after(event), END, backwards=False, limit=min(max(wanted.after_limit, 0), MAX_CONTEXT)
    )
    oldest, newest = (before or [seen])[-1].event, (after or [seen])[-1].event
    profiles = b""
    if wanted.include_profile:
        shown = await _profiles(tx, [*before, seen, *after])
        profiles = b',"profile_info":' + orjson.dumps(shown)
    return b'{"start":%b,"end":%b,"events_before":[%b],"events_after":[%b]%b}' % (
        orjson.dumps(token_at(start or place_before(oldest), window)),
        orjson.dumps(token_at(end or place_after(newest), window)),
        b",".join(await seen_as_json(tx, before, viewer, now)),
        b",".join(await seen_as_json(tx, after, viewer, now)),
        profiles,
    )


async def _profiles(tx: Read, seen: Sequence[Seen]) -> dict[str, dict[str, str]]:
    """The names and avatars that the senders had in the room, as of the last of the events."""
    found: dict[str, dict[str, str]] = {}
    for one in seen:
        event = one.event
        if event.before_line is None or event.before_ver is None:
            continue
        keys = await find_keys(tx, {(MEMBER, event.sender)})
        nids = await get_many(tx, (event.before_line, event.before_ver), keys.values())
        for member in (await list_by_nid(tx, nids.values())).values():
            content = member.content
            names = {key: content.get(key) for key in ("displayname", "avatar_url")}
            found[event.sender] = {key: text for key, text in names.items() if isinstance(text, str)}
    return found


def _body(query: SearchQuery, words: list[str], found: _Found, states: dict[str, bytes]) -> bytes:
    parts = [b'"count":%d' % found.total, b'"highlights":' + orjson.dumps(words)]
    parts.append(b'"results":[%b]' % b",".join(found.results))
    if query.include_state:
        rooms = [b"%b:%b" % (orjson.dumps(room_id), state) for room_id, state in states.items()]
        parts.append(b'"state":{%b}' % b",".join(rooms))
    if query.groups:
        parts.append(b'"groups":' + orjson.dumps({key: _group(key, found.hits) for key in query.groups}))
    if found.more is not None:
        parts.append(b'"next_batch":"n%d"' % found.more)
    return b'{"search_categories":{"room_events":{%b}}}' % b",".join(parts)


def _group(key: GroupKey, hits: Sequence[tuple[Hit, Seen]]) -> dict[str, Any]:
    members: defaultdict[str, list[str]] = defaultdict(list)
    for hit, _ in hits:
        members[hit.event.room_id if key == "room_id" else hit.event.sender].append(hit.event.event_id)
    return {
        value: {"order": order, "results": results} for order, (value, results) in enumerate(members.items())
    }
