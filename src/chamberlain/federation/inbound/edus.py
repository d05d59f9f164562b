"""Handing out what other servers send beside events (server-server API, EDUs)."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from chamberlain.matrix.ids import find_server_of, is_valid_user_id
from chamberlain.runtime.log import get_logger

T = TypeVar("T")

MAX_BYTES: Final = 128 * 1024
"""Larger contents are dropped, unless their handler takes more."""
MAX_EDU_BYTES: Final = 4 * 1024 * 1024
"""Larger EDUs are dropped: one may bring messages for many devices."""
MAX_BRACKETS: Final = 20_000
"""So is what has more arrays and objects in it than any honest content."""

Handler = Callable[[str, Sequence[msgspec.Raw]], Awaitable[None]]
"""Given the server and the contents of one type, in the order of the transaction. Drops what it cannot use."""

_log = get_logger("inbound")


class _Edu(msgspec.Struct):
    edu_type: str
    content: msgspec.Raw


class Edus:
    """Knows who takes which EDUs. Unknown types are dropped."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    async def handle(self, origin: str, edus: Sequence[msgspec.Raw]) -> None:
        """Every EDU has been handed out when this returns; what is to outlast a crash is in the database.

        One that fails keeps no other from its effect.
        """
        contents: dict[str, list[msgspec.Raw]] = {}
        for edu in decode(edus, _Edu, MAX_EDU_BYTES):
            if edu.edu_type in self._handlers:
                contents.setdefault(edu.edu_type, []).append(edu.content)
        for kind, theirs in contents.items():
            try:
                await self._handlers[kind](origin, theirs)
            except Exception:
                _log.exception("EDUs of another server failed", edu_type=kind, origin=origin)


def decode(values: Iterable[msgspec.Raw], kind: type[T], max_bytes: int = MAX_BYTES) -> Iterator[T]:
    """Those of the values that are of this kind; what is not, or is too large, is left out."""
    for value in values:
        raw = bytes(value)
        if len(raw) > max_bytes or raw.count(b"{") + raw.count(b"[") > MAX_BRACKETS:
            continue
        try:
            yield msgspec.json.decode(raw, type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue


def is_user_of(server: str, user_id: str) -> bool:
    """Whether this is the id of a user of that server."""
    return find_server_of(user_id) == server and is_valid_user_id(user_id)
