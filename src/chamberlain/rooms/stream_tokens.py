"""The tokens that name a place in what has happened (client-server API, Syncing, Pagination).

Clients must not look into them. `s<epoch>_<position>_<ephemeral>` is a place in the change stream, as /sync gives
it; `s<epoch>_<position>_b` is the same place as seen from the event that came next, `prev_batch` of a timeline.
`t<depth>_<order>` is a place in the history of one room, with the cuts of its window where it has one:
`t<depth>_<order>_<after>_<depth>_<upto>_<depth>`. Endpoints of history take all of them.
"""

import re
from typing import Final

import msgspec

from chamberlain.store.history import EVERYTHING, Cut, Place, Window

_STREAM: Final = re.compile(r"s([A-Za-z0-9]{1,64})_([0-9]{1,18})_([0-9]{1,18}|b)")
_HISTORY: Final = re.compile(
    r"t([0-9]{1,18})_(-?[0-9]{1,18})(?:_([0-9]{1,18})_(-1|[0-9]{1,18})_([0-9]{1,18})_(-1|[0-9]{1,18}))?"
)


class StreamToken(msgspec.Struct, frozen=True, gc=False):
    """All changes up to `position`, and all of what is not durable (typing, presence) up to `ephemeral`.

    `epoch` is that of the database: a token of another one was given out before a backup was restored.
    `is_before`: with what was missing before the event that arrived next, as far as it is here by now.
    """

    epoch: str
    position: int
    ephemeral: int = 0
    is_before: bool = False

    def __str__(self) -> str:
        return f"s{self.epoch}_{self.position}_{'b' if self.is_before else self.ephemeral}"


class HistoryToken(msgspec.Struct, frozen=True, gc=False):
    """The place just before the event of a room that has this depth and order.

    The order of an event is the position at which it arrived, negative for what was fetched later. A room's
    history goes by (depth, order). `window`: the events through which the walk goes that the token is one of.
    """

    depth: int
    order: int
    window: Window = EVERYTHING

    @property
    def place(self) -> Place:
        """The place."""
        return self.depth, self.order

    def __str__(self) -> str:
        if self.window == EVERYTHING:
            return f"t{self.depth}_{self.order}"
        after, upto = self.window.after, self.window.upto
        bounds = f"{after.position}_{after.depth}_{upto.position}_{upto.depth}"
        return f"t{self.depth}_{self.order}_{bounds}"


def parse_token(text: str) -> StreamToken | HistoryToken | None:
    """The token, or None for what is none."""
    found = _STREAM.fullmatch(text)
    if found is not None:
        is_before = found[3] == "b"
        return StreamToken(found[1], int(found[2]), 0 if is_before else int(found[3]), is_before)
    found = _HISTORY.fullmatch(text)
    if found is None:
        return None
    window = EVERYTHING
    if found[3] is not None:
        window = Window(Cut(int(found[3]), int(found[4])), Cut(int(found[5]), int(found[6])))
    return HistoryToken(int(found[1]), int(found[2]), window)


def parse_stream_token(text: str) -> StreamToken | None:
    """The token of /sync, or None for what is none."""
    token = parse_token(text)
    return token if isinstance(token, StreamToken) else None


def parse_position(text: str) -> int | None:
    """The position of the last change before the token's place, or None for what is no token."""
    token = parse_token(text)
    if token is None:
        return None
    if isinstance(token, StreamToken):
        return token.position
    window = token.window
    return min(max(token.order - 1, window.after.position), window.upto.position)
