"""The threads of a room (client-server API, Querying threads in a room)."""

import re
from typing import Final, Literal

from chamberlain.matrix.errors import InvalidParam
from chamberlain.rooms.access import reach_of
from chamberlain.rooms.bundles import ignored_by, seen_as_json
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.visible import Seen, as_redacted, visible_events
from chamberlain.runtime.clock import Clock
from chamberlain.store import relations
from chamberlain.store.database import Database
from chamberlain.store.events import list_stored
from chamberlain.store.history import END
from chamberlain.store.rooms import find_version
from chamberlain.store.tx import Read

DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100
_TOKEN: Final = re.compile(r"h(-?[0-9]{1,18})")


class Threads:
    """Lists the threads of rooms to those who may see them."""

    def __init__(self, db: Database, clock: Clock, heads: Heads) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads

    async def page(
        self,
        viewer: Viewer,
        room_id: str,
        *,
        include: Literal["all", "participated"] = "all",
        limit: int = DEFAULT_LIMIT,
        start: str | None = None,
    ) -> bytes:
        """Give the roots of a room's threads, those with the newest events first, as the JSON body of /threads.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
            InvalidParam: `start` is no token of this list.
        """
        before = END[1]
        if start is not None:
            found = _TOKEN.fullmatch(start)
            if found is None:
                raise InvalidParam("`from` is no token of this list")
            before = int(found[1])
        reach = await reach_of(self._db, self._heads, room_id, viewer.user_id)
        participant = viewer.user_id if include == "participated" else None
        size = min(max(limit, 1), MAX_LIMIT)
        return await self._db.snapshot(
            _page, viewer, room_id, participant, size, (before, reach[1]), self._clock.now()
        )


async def _page(
    tx: Read,
    viewer: Viewer,
    room_id: str,
    participant: str | None,
    limit: int,
    bounds: tuple[int, int],
    now: int,
) -> bytes:
    before, reach = bounds
    listed = await relations.list_threads(
        tx, room_id, before=before, reach=reach, limit=limit + 1, participant=participant
    )
    roots = await list_stored(tx, [root for root, _ in listed[:limit]])
    events = [roots[root] for root, _ in listed[:limit] if root in roots]
    seen = await visible_events(tx, events, viewer.user_id)
    ignored = set(await ignored_by(tx, viewer.user_id))
    if ignored:
        version = await find_version(tx, room_id) or "1"
        seen = [
            Seen(as_redacted(one.event, version), one.membership) if one.event.sender in ignored else one
            for one in seen
        ]
    body = b'{"chunk":[%b]' % b",".join(await seen_as_json(tx, seen, viewer, now))
    if len(listed) > limit:
        body += b',"next_batch":"h%d"' % listed[limit - 1][1]
    return body + b"}"
