"""Where the events of a room go: into it, or, where one of ours waits outside, to whoever looks for an answer."""

from collections.abc import Sequence

from chamberlain.matrix.events import Event
from chamberlain.rooms.joined import is_ours
from chamberlain.rooms.outside import Outside
from chamberlain.rooms.pipeline.accept import Accept
from chamberlain.rooms.pipeline.head import Heads


class Arrivals:
    """Decides by whether this server is in the room."""

    def __init__(self, heads: Heads, accept: Accept, outside: Outside) -> None:
        self._heads = heads
        self._accept = accept
        self._outside = outside

    async def accept(self, origin: str, room_id: str, events: Sequence[Event]) -> None:
        """Work off events that a server sent for a room; those that are known already are skipped."""
        head = await self._heads.find(room_id)
        if head is not None and is_ours(head):
            await self._accept.accept(origin, room_id, events)
        else:
            await self._outside.hear(room_id, events)
