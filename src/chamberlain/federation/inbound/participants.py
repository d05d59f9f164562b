"""Whether a user of another server has anything to say in a room."""

from chamberlain.rooms.acl import is_allowed
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads


class Participants:
    """Asks the rooms."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

    async def may_act(self, origin: str, room_id: str, user_id: str) -> bool:
        """Whether the user is joined to a room of this server's that lets their server take part."""
        if await self._heads.find(room_id) is None:
            return False
        return (
            await is_allowed(self._heads, room_id, origin)
            and await membership_in(self._heads, room_id, user_id) == "join"
        )
