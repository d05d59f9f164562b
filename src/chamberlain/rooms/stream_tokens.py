"""The tokens that name a place in what has happened (client-server API, Syncing, Pagination).

Clients must not look into them. `s<epoch>_<position>_<ephemeral>` is a place in the change stream, as /sync gives
it; `t<depth>_<order>` is a place in the history of one room. Endpoints of history take both.
"""

import re
from typing import Final

import msgspec

_STREAM: Final = re.compile(r"s([A-Za-z0-9]{1,64})_([0-9]{1,18})_([0-9]{1,18})")
_HISTORY: Final = re.compile(r"t([0-9]{1,18})_(-?[0-9]{1,18})")


class StreamToken(msgspec.Struct, frozen=True, gc=False):
    """All changes up to `position`, and all of what is not durable (typing, presence) up to `ephemeral`.

    `epoch` is that of the database: a token of another one was given out before a backup was restored.
    """

    epoch: str
    position: int
    ephemeral: int = 0

    def __str__(self) -> str:
        return f"s{self.epoch}_{self.position}_{self.ephemeral}"


class HistoryToken(msgspec.Struct, frozen=True, gc=False):
    """The place just before the event of a room that has this depth and order.

    The order of an event is the position at which it arrived, negative for what was fetched later. A room's
    history goes by (depth, order).
    """

    depth: int
    order: int

    def __str__(self) -> str:
        return f"t{self.depth}_{self.order}"


def parse_token(text: str) -> StreamToken | HistoryToken | None:
    """The token, or None for what is none."""
    found = _STREAM.fullmatch(text)
    if found is not None:
        return StreamToken(found[1], int(found[2]), int(found[3]))
    found = _HISTORY.fullmatch(text)
    if found is not None:
        return HistoryToken(int(found[1]), int(found[2]))
    return None


def parse_stream_token(text: str) -> StreamToken | None:
    """The token of /sync, or None for what is none."""
    token = parse_token(text)
    return token if isinstance(token, StreamToken) else None


def parse_position(text: str) -> int | None:
    """The position of the last change before the token's place, or None for what is no token."""
    token = parse_token(text)
    if token is None:
        return None
    return token.position if isinstance(token, StreamToken) else token.order - 1
