"""Who of our users types, told to the other servers in the room."""

from typing import Final

from chamberlain.federation.outbound.audience import server_in
from chamberlain.federation.outbound.ephemera import Ephemera, typing_edu
from chamberlain.federation.outbound.service import Outbound
from chamberlain.rooms.typing import Typing
from chamberlain.runtime.clock import Clock, Timer
from chamberlain.runtime.tasks import Tasks

AGAIN_SECONDS: Final = 25.0
"""Other servers forget after half a minute who types: of those who still do they are told again."""


class TypingNews:
    """Follows who types, for the servers that this worker sends to."""

    def __init__(self, clock: Clock, typing: Typing, outbound: Outbound, server_name: str) -> None:
        self._clock = clock
        self._typing = typing
        self._outbound = outbound
        self._server_name = server_name
        self._tasks = Tasks()
        self._told: dict[str, set[str]] = {}
        """Who types as the others know it, by room."""
        self._timers: dict[str, Timer] = {}
        self._is_closed = False
        typing.subscribe(self._moved)

    async def close(self) -> None:
        """Tell no more."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        await self._tasks.close()

    def _moved(self, room_id: str) -> None:
        if not self._is_closed and self._outbound.reaches(room_id):
            self._tasks.spawn("tell who types", self._tell(room_id))

    def _again(self, room_id: str) -> None:
        del self._timers[room_id]
        self._tasks.spawn("tell who still types", self._tell(room_id, again=True))

    async def _tell(self, room_id: str, *, again: bool = False) -> None:
        servers = await self._outbound.servers_in(room_id)
        typing = {user for user in self._typing.users(room_id) if server_in(user) == self._server_name}
        told = self._told.pop(room_id, set())
        news = {user: False for user in told - typing}
        news |= {user: True for user in (typing if again else typing - told)}
        if typing:
            self._told[room_id] = typing
            if room_id not in self._timers:
                self._timers[room_id] = self._clock.call_later(AGAIN_SECONDS, self._again, room_id)
        now = self._clock.now()
        for user_id, is_typing in sorted(news.items()):
            edu = typing_edu(room_id, user_id, typing=is_typing)

            def add(waiting: Ephemera, user_id: str = user_id, edu: bytes = edu) -> None:
                waiting.add_typing(now, room_id, user_id, edu)

            self._outbound.add_ephemera(servers, add)
