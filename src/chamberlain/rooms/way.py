"""The way of a page through a room's history, from one token to another (client-server API, Pagination).

Every token parts the events of a room in two, and each event is on one side of it: paging backward shows the one side,
paging forward the other. What has arrived since the token was given out is ahead of it, however deep in the history.
So a way has stretches: in each it goes by the order of history, through what arrived between two cuts.
"""

from typing import TypeAlias

import msgspec

from chamberlain.rooms.stream_tokens import HistoryToken, StreamToken
from chamberlain.store.history import (
    ALL,
    BEGINNING,
    END,
    NOTHING,
    Cut,
    Place,
    Window,
    cut_at,
    cut_before_next,
    lowest_in,
)
from chamberlain.store.tx import Read

Token: TypeAlias = StreamToken | HistoryToken


class Stretch(msgspec.Struct, frozen=True):
    """What of a window is between two places."""

    room_id: str
    low: Place
    high: Place
    window: Window


class Way:
    """A way through the history of a room, as one state of the database has it."""

    def __init__(self, tx: Read, room_id: str, *, backwards: bool) -> None:
        self._tx = tx
        self._room_id = room_id
        self._backwards = backwards
        self._stop: Cut | None = None
        self._bound: Place | None = None

    async def begin(self, start: Token | None, stop: Token | None) -> Stretch:
        """Give the first stretch, from a token, or from the end of the history, up to another."""
        if isinstance(stop, HistoryToken):
            self._bound = stop.place
        elif stop is not None:
            self._stop = await self._cut_of(stop)
        if isinstance(start, HistoryToken):
            low, high = (BEGINNING, start.place) if self._backwards else (start.place, END)
            return self._bounded(Stretch(self._room_id, low, high, start.window))
        if start is not None:
            return await self._from(await self._cut_of(start))
        return await self._from(await cut_at(self._tx, self._room_id) if self._backwards else NOTHING)

    async def go_on(self, stretch: Stretch) -> Stretch | None:
        """Give the stretch after one that was gone through, None where the way ends."""
        window = stretch.window
        cut = window.after if self._backwards else window.upto
        if cut == self._stop or cut in (NOTHING, ALL):
            return None
        if not self._backwards and (await cut_at(self._tx, self._room_id)).position <= cut.position:
            return None
        return await self._from(cut)

    def token(self, stretch: Stretch, place: Place | None = None) -> HistoryToken:
        """The token of a place in a stretch, or of where it begins."""
        if place is None:
            place = stretch.high if self._backwards else stretch.low
        return HistoryToken(*place, stretch.window)

    async def _from(self, cut: Cut) -> Stretch:
        if self._backwards:
            return self._bounded(Stretch(self._room_id, BEGINNING, (cut.depth, END[1]), Window(NOTHING, cut)))
        window = Window(cut, await cut_at(self._tx, self._room_id))
        lowest = 0 if cut == NOTHING else await lowest_in(self._tx, self._room_id, window)
        return self._bounded(Stretch(self._room_id, (lowest, BEGINNING[1]), END, window))

    def _bounded(self, stretch: Stretch) -> Stretch:
        low, high, window = stretch.low, stretch.high, stretch.window
        if self._bound is not None:
            low, high = (max(low, self._bound), high) if self._backwards else (low, min(high, self._bound))
        if self._stop is not None and self._backwards and self._stop.position >= window.after.position:
            window = Window(self._stop, window.upto)
        elif self._stop is not None and not self._backwards and self._stop.position <= window.upto.position:
            window = Window(window.after, self._stop)
        return Stretch(self._room_id, low, high, window)

    async def _cut_of(self, token: StreamToken) -> Cut:
        cut = await cut_at(self._tx, self._room_id, token.position)
        return await cut_before_next(self._tx, self._room_id, cut) if token.is_before else cut
