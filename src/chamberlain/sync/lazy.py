"""Which members a device knows already, of those rooms whose members it loads lazily (Lazy-loading room members)."""

from collections.abc import Iterable, Mapping
from typing import Final

from chamberlain.runtime.cache import Cache

KEPT: Final = 20_000
"""Pairs of a device and a room."""
MEMBERS_KEPT: Final = 200
"""Of each pair."""

_NOBODY: Final[Mapping[str, int]] = {}


class KnownMembers:
    """Remembers in which answer each member was sent, and forgets when there is no space.

    A device knows a member whom an answer told that it has acknowledged by its `since`; answers get lost.
    """

    def __init__(self) -> None:
        self._sent: Cache[tuple[str, str | None, str], dict[str, int]] = Cache(KEPT, "lazy members")

    def of(self, user_id: str, device_id: str | None, room_id: str) -> Mapping[str, int]:
        """The members that were sent, each with the position of the answer."""
        return self._sent.get((user_id, device_id, room_id)) or _NOBODY

    def sent(
        self,
        user_id: str,
        device_id: str | None,
        room_id: str,
        members: Iterable[str],
        position: int,
        *,
        anew: bool,
    ) -> None:
        """These members are part of an answer whose token has this position; `anew`: nothing earlier counts."""
        key = (user_id, device_id, room_id)
        known = self._sent.get(key)
        if known is None or anew or len(known) > MEMBERS_KEPT:
            self._sent.set(key, known := {})
        for member in members:
            known[member] = position
