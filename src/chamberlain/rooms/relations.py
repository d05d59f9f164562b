"""The events that relate to an event (client-server API, Relationships API)."""

from typing import Final

import msgspec
import orjson

from chamberlain.rooms.bundles import seen_as_json
from chamberlain.rooms.history import find_seen, token_of
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.visible import visible_events
from chamberlain.rooms.way import Token, Way
from chamberlain.runtime.clock import Clock
from chamberlain.store import relations
from chamberlain.store.database import Database
from chamberlain.store.relations import MAX_LEVELS
from chamberlain.store.tx import Read

DEFAULT_LIMIT: Final = 5
MAX_LIMIT: Final = 100


class RelationsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which of an event's relations are wanted. The limit is brought into 1 to 100."""

    rel_type: str | None = None
    event_type: str | None = None
    start: str | None = None
    stop: str | None = None
    limit: int = DEFAULT_LIMIT
    backwards: bool = True
    recurse: bool | None = None


class Relations:
    """Gives the relations of events to those who may see them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def children(self, viewer: Viewer, room_id: str, event_id: str, query: RelationsQuery) -> bytes:
        """Give a page of the events that relate to an event, as the JSON body of /relations.

        Raises:
            NotFound: the room has no such event, or the user may not see it.
            InvalidParam: a token is none.
        """
        tokens = token_of(query.start, "from"), token_of(query.stop, "to")
        return await self._db.snapshot(_children, viewer, room_id, event_id, query, tokens, self._clock.now())


async def _children(
    tx: Read,
    viewer: Viewer,
    room_id: str,
    event_id: str,
    query: RelationsQuery,
    tokens: tuple[Token | None, Token | None],
    now: int,
) -> bytes:
    parent = await find_seen(tx, viewer.user_id, room_id, event_id)
    way = Way(tx, room_id, backwards=query.backwards)
    stretch = await way.begin(*tokens)
    page = await relations.page_of_children(
        tx,
        parent.event,
        stretch.low,
        stretch.high,
        backwards=query.backwards,
        limit=min(max(query.limit, 1), MAX_LIMIT),
        rel_type=query.rel_type,
        kind=query.event_type,
        levels=MAX_LEVELS if query.recurse else 1,
        window=stretch.window,
    )
    seen = await visible_events(tx, page.events, viewer.user_id)
    parts = [b'{"chunk":[%b]' % b",".join(await seen_as_json(tx, seen, viewer, now))]
    following = stretch if page.more is not None else await way.go_on(stretch)
    if following is not None:
        parts.append(b',"next_batch":%b' % orjson.dumps(str(way.token(following, page.more))))
    if query.start is not None:
        parts.append(b',"prev_batch":%b' % orjson.dumps(query.start))
    if query.recurse is not None:
        parts.append(b',"recursion_depth":%d' % (MAX_LEVELS if query.recurse else 1))
    return b"".join(parts) + b"}"
