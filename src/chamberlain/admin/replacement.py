"""The room that the members of a deleted one come into, to be told why."""

import asyncio
from collections.abc import Sequence
from typing import Final

from chamberlain.matrix.errors import MatrixError
from chamberlain.rooms.create import CreateRoom, RoomOptions
from chamberlain.rooms.membership import Membership
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.pipeline.waiting import Txn
from chamberlain.store import memberships, rooms
from chamberlain.store.database import Database
from chamberlain.store.jobs import DONE, FAILED, Item

_MUTED: Final = {"users_default": -10}
"""Power levels in which nobody but who made the room can say anything."""
_PATH: Final = "replacement"


class Replacement:
    """Makes such rooms, and brings members into them."""

    def __init__(self, db: Database, create: CreateRoom, submit: Submit, membership: Membership) -> None:
        self._db = db
        self._create = create
        self._submit = submit
        self._membership = membership

    async def make(
        self, creator: str, name: str, message: str, *, job_id: str, made_since: int | None
    ) -> str:
        """Have a public room in which the message stands; give its id.

        `made_since`: where it may be there already, made at that time (ms) or later.

        Raises:
            MatrixError: the user cannot make rooms.
        """
        room_id = None
        if made_since is not None:
            room_id = await self._db.snapshot(rooms.find_made, creator, name, made_since)
        if room_id is None:
            options = RoomOptions(preset="public_chat", name=name, power_level_content_override=_MUTED)
            room_id = await self._create.create_room(creator, options)
        content = {"msgtype": "m.text", "body": message}
        txn = Txn(creator, "", _PATH, job_id)
        await self._submit.send(creator, room_id, "m.room.message", content, txn=txn)
        return room_id

    async def bring(self, left: Sequence[Item], room_id: str) -> list[Item]:
        """Have in the room who has left another one in which they were joined; gives what became of the items.

        Each item is a user; the detail of one that is done is the event with which they left.
        """
        return await asyncio.gather(*(self._bring(item, room_id) for item in left))

    async def _bring(self, item: Item, room_id: str) -> Item:
        if item.state != DONE or item.detail is None:
            return item
        if not await self._db.read(memberships.ended_a_join, item.detail):
            return item
        try:
            await self._membership.join(item.item, room_id)
        except MatrixError as error:
            return Item(item.place, item.item, FAILED, f"Left, but could not join {room_id}: {error.message}")
        return item
