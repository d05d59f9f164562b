"""Who is online on other servers (server-server API, Presence)."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from chamberlain.federation.inbound.edus import decode, is_user_of
from chamberlain.runtime.clock import Clock
from chamberlain.store.database import Database
from chamberlain.store.memberships import rooms_shared_with_us
from chamberlain.sync.presence import Presences
from chamberlain.sync.present import MAX_STATUS, Heard, State

MAX_USERS: Final = 500
"""Of so many users one EDU may tell; what it says of others is dropped."""


class _Push(msgspec.Struct):
    user_id: str
    presence: State
    last_active_ago: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    status_msg: str | None = None
    currently_active: bool = False


class _Content(msgspec.Struct):
    push: list[msgspec.Raw]


class IncomingPresence:
    """Takes m.presence."""

    def __init__(self, db: Database, clock: Clock, presences: Presences) -> None:
        self._db = db
        self._clock = clock
        self._presences = presences

    async def handle(self, origin: str, contents: Sequence[msgspec.Raw]) -> None:
        """Those of the server's users who share a room with one of ours are what their server says."""
        if not self._presences.enabled:
            return
        pushed: dict[str, _Push] = {}
        for content in decode(contents, _Content):
            for push in decode(content.push[:MAX_USERS], _Push):
                if is_user_of(origin, push.user_id):
                    pushed[push.user_id] = push
        if not pushed:
            return
        rooms = await self._db.read(rooms_shared_with_us, sorted(pushed))
        for user_id, shared in rooms.items():
            self._presences.hear(user_id, _heard(pushed[user_id], self._clock.now()), shared)


def _heard(push: _Push, now: int) -> Heard:
    status = push.status_msg[:MAX_STATUS] if push.status_msg else None
    return Heard(push.presence, status, max(now - push.last_active_ago, 0), push.currently_active)
