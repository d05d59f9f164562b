"""Whether a user of another server has anything to say in a room."""

from chamberlain.rooms.acl import is_allowed
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store.database import Database
from chamberlain.store.partial import is_said_to_be_in


class Participants:
    """Asks the rooms."""

    def __init__(self, db: Database, heads: Heads) -> None:
        self._db = db
        self._heads = heads

    async def may_act(self, origin: str, room_id: str, user_id: str) -> bool:
        """Whether the user is joined to a room of this server's that lets their server take part.

        Of members who are not known yet their server is believed, where it is said to be in the room.
        """
        head = await self._heads.find(room_id)
        if head is None or not await is_allowed(self._heads, room_id, origin):
            return False
        membership = await membership_in(self._heads, room_id, user_id)
        if membership is None and head.is_partial:
            return await self._db.read(is_said_to_be_in, room_id, origin)
        return membership == "join"
