"""The trees of spaces (client-server API, Discovering rooms within spaces; server-server API, Spaces)."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Final

import msgspec

from chamberlain.matrix.errors import Forbidden, InvalidParam, NotFound
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.shown import HierarchyRoom, RemoteSpace
from chamberlain.rooms.space_walk import MAX_ROOMS, SpaceWalk, View, children_of
from chamberlain.rooms.summaries import Summaries
from chamberlain.store import spaces
from chamberlain.store.database import Database

MAX_PAGE: Final = 50
MAX_CHILDREN: Final = 1_000
"""Children that another server is told of."""


class _Token(msgspec.Struct, frozen=True, array_like=True):
    view: View
    start: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROOMS)]


class Spaces:
    """Shows the trees of spaces."""

    def __init__(self, db: Database, summaries: Summaries, elsewhere: Elsewhere, server_name: str) -> None:
        self._db = db
        self._summaries = summaries
        self._elsewhere = elsewhere
        self._server_name = server_name

    async def hierarchy(
        self, user_id: str, room_id: str, view: View, *, limit: int | None, start: str | None
    ) -> tuple[list[HierarchyRoom], str | None]:
        """Give a part of a space's tree, depth first, each room once, and the token of the next part.

        Rooms that this server is not in are those that servers which know them tell of.

        Raises:
            InvalidParam: a limit below 1, a depth below 0, a token that is none or of another view.
            Forbidden: the user may not see the space.
        """
        if (limit is not None and limit < 1) or (view.max_depth is not None and view.max_depth < 0):
            raise InvalidParam("`limit` is at least 1 and `max_depth` not negative")
        skip = _parse(start, view)
        size = min(limit or MAX_PAGE, MAX_PAGE)
        walk = SpaceWalk(self._db, self._summaries, self._elsewhere, self._server_name, user_id, view)
        rooms: list[HierarchyRoom] = []
        index = 0
        async for room in walk.rooms(room_id):
            if index >= skip + size:
                return rooms, _token(_Token(view, index))
            if index >= skip:
                rooms.append(room)
            index += 1
        if index == 0:
            raise Forbidden("You may not see this room")
        return rooms, None

    async def for_server(self, server: str, room_id: str, *, suggested_only: bool) -> RemoteSpace:
        """Give another server a room and those of its children that it may know of.

        Raises:
            NotFound: this server is not in the room, or the other one may not know of it.
        """
        info = (await self._db.read(spaces.list_infos, (room_id,), None)).get(room_id)
        if info is None or not info.local_joined or not await self._summaries.may_show(info, server):
            raise NotFound("There is no such room")
        children = (await children_of(self._db, info, suggested_only=suggested_only))[:MAX_CHILDREN]
        summary = msgspec.structs.asdict(await self._summaries.summarize(info))
        ids = [child.state_key for child in children]
        known = await self._db.snapshot(spaces.list_infos, ids, None)
        shown = {
            child: await self._summaries.summarize(known[child])
            for child in ids
            if child in known
            and known[child].local_joined
            and await self._summaries.may_show(known[child], server)
        }
        closed = frozenset(child for child in ids if child in known and child not in shown)
        return RemoteSpace(HierarchyRoom(children_state=children, **summary), shown, closed)


def _token(token: _Token) -> str:
    return urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _parse(text: str | None, view: View) -> int:
    """Where a token goes on; 0 without one."""
    if text is None:
        return 0
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        token = msgspec.json.decode(packed, type=_Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidParam("`from` is no token of this list") from None
    if token.view != view:
        raise InvalidParam("`max_depth` and `suggested_only` cannot change between the parts of a list")
    return token.start
