"""Events of ours that are away to be signed by the policy server of their room, which goes on meanwhile."""

from collections import deque
from typing import Final

from chamberlain.matrix.policy import POLICY_KEY, PolicyServer
from chamberlain.rooms.pipeline.chain import PREV_EVENTS
from chamberlain.rooms.pipeline.waiting import Made, Waiting

AT_ONCE: Final = PREV_EVENTS
"""Of one room: as many ends as they may make, the next event ties together again."""


class Unsigned(Exception):
    """The event needs the signature of the room's policy server first."""

    def __init__(self, made: Made, server: PolicyServer) -> None:
        super().__init__(server.name)
        self.made = made
        self.server = server


class Away:
    """Counts them."""

    def __init__(self) -> None:
        self._rooms: dict[str, int] = {}
        self._others: dict[str, deque[Waiting]] = {}

    def keep_back(self, waiting: Waiting) -> bool:
        """Keep a draft back if as many of its room are away as may be; whether it is."""
        draft = waiting.draft
        # What needs no signature, or has it, needs no patience.
        if waiting.signed is not None or (draft.type, draft.state_key) == POLICY_KEY:
            return False
        if self._rooms.get(draft.room_id, 0) < AT_ONCE:
            return False
        waiting.is_away = True
        self._others.setdefault(draft.room_id, deque()).append(waiting)
        return True

    def leave(self, waiting: Waiting) -> None:
        """One goes away."""
        waiting.is_away = True
        room_id = waiting.draft.room_id
        self._rooms[room_id] = self._rooms.get(room_id, 0) + 1

    def come_back(self, waiting: Waiting) -> Waiting | None:
        """One is settled; give the next one of those that were kept back."""
        room_id = waiting.draft.room_id
        self._rooms[room_id] -= 1
        if not self._rooms[room_id]:
            del self._rooms[room_id]
        others = self._others.get(room_id)
        if others is None:
            return None
        following = others.popleft()
        if not others:
            del self._others[room_id]
        return following
