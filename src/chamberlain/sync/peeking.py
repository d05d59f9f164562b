"""Following one room, as a member or because the world may read it (client-server API, Room previews)."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix.errors import Forbidden, InvalidParam
from chamberlain.rooms.access import sees_all
from chamberlain.rooms.bundles import seen_as_json
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.serialize import Viewer
from chamberlain.rooms.stream_tokens import StreamToken, parse_position
from chamberlain.rooms.visible import visible_events
from chamberlain.runtime.clock import Clock
from chamberlain.store import kinds
from chamberlain.store.database import Database, position_of
from chamberlain.store.events import list_arrived
from chamberlain.store.tx import Change, Read

LIMIT: Final = 100
"""How many events are told at once."""


class _Page(msgspec.Struct, frozen=True):
    """Events after a position, and the position up to which there are no others; `more`: beyond it there are."""

    events: list[bytes]
    upto: int
    more: bool


class Peeking:
    """Tells what happens in a room to those who may look into it."""

    def __init__(self, db: Database, clock: Clock, heads: Heads, *, epoch: str, max_timeout_ms: int) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._epoch = epoch
        self._max_timeout_ms = max_timeout_ms
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._is_closing = False
        db.subscribe(self._told)

    async def events(self, viewer: Viewer, room_id: str, start: str | None, timeout_ms: int) -> bytes:
        """Give the room's events after `start` (None: now) as the body of /events, waiting where there are none.

        Raises:
            InvalidParam: `start` is no token.
            Forbidden: the user is not in the room and the world may not look; the room may not exist.
        """
        first = position = self._position(start)
        deadline = self._clock.monotonic() + min(max(timeout_ms, 0), self._max_timeout_ms) / 1000
        while True:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(room_id, set()).add(waiter)
            try:
                if not await sees_all(self._heads, room_id, viewer.user_id):
                    raise Forbidden("You are not in this room")
                page = await self._db.read(_page, viewer, room_id, position, self._clock.now())
                left = deadline - self._clock.monotonic()
                if page.events or left <= 0 or self._is_closing:
                    return b'{"start":%b,"chunk":[%b],"end":%b}' % (
                        self._token(first),
                        b",".join(page.events),
                        self._token(page.upto),
                    )
                position = page.upto
                if page.more:
                    continue
                timer = self._clock.call_later(left, _release, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
            finally:
                self._forget(room_id, waiter)

    def release_all(self) -> None:
        """Let nobody wait any more: the server stops."""
        self._is_closing = True
        for room_id in self._waiters:
            self._wake(room_id)

    def _position(self, start: str | None) -> int:
        if start is None:
            return self._db.position
        position = parse_position(start)
        if position is None:
            raise InvalidParam("`from` is no token of this server")
        return max(position, 0)

    def _token(self, position: int) -> bytes:
        return orjson.dumps(str(StreamToken(self._epoch, position)))

    def _told(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.EVENT and change.entity in self._waiters:
                self._wake(change.entity)

    def _wake(self, room_id: str) -> None:
        for waiter in self._waiters[room_id]:
            _release(waiter)

    def _forget(self, room_id: str, waiter: "asyncio.Future[None]") -> None:
        waiting = self._waiters[room_id]
        waiting.discard(waiter)
        if not waiting:
            del self._waiters[room_id]


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _page(tx: Read, viewer: Viewer, room_id: str, after: int, now: int) -> _Page:
    """Those of the next events that the viewer may see."""
    newest = max(await position_of(tx), after)
    events = await list_arrived(tx, room_id, after, newest, LIMIT, "oldest")
    more = len(events) == LIMIT
    upto = events[-1].position if more else None
    seen = await visible_events(tx, events, viewer.user_id)
    return _Page(await seen_as_json(tx, seen, viewer, now), upto or newest, more)
