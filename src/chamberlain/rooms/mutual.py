"""The rooms that two users share (client-server API, Mutual Rooms)."""

from typing import Final

import msgspec

from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.ids import RoomID, is_valid_user_id
from chamberlain.store import memberships
from chamberlain.store.database import Database

PAGE: Final = 100


class SharedRooms(msgspec.Struct, frozen=True):
    """A page of rooms by id; `more`: the token of the next one."""

    rooms: list[RoomID]
    count: int
    more: str | None


class Mutual:
    """Finds out in which rooms two users are."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(self, user_id: str, other: str, start: str | None) -> SharedRooms:
        """Give rooms to which both are joined now, 100 a page.

        Raises:
            InvalidParam: `other` is no user id or the user's own, or `start` is no token of this list.
        """
        if not is_valid_user_id(other) or other == user_id:
            raise InvalidParam("`user_id` must be the ID of another user")
        if start is not None and not start.startswith("!"):
            raise InvalidParam("`from` is no token of this list")
        found = await self._db.read(memberships.rooms_shared, user_id, other)
        rest = [RoomID(room_id) for room_id in found if start is None or room_id > start]
        return SharedRooms(rest[:PAGE], len(found), rest[PAGE - 1] if len(rest) > PAGE else None)
