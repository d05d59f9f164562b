"""Walking the tree of a space (client-server API, Discovering rooms within spaces)."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec

from chamberlain.matrix.errors import Forbidden, InvalidParam
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.summaries import RoomSummary, Summaries
from chamberlain.store import spaces
from chamberlain.store.database import Database
from chamberlain.store.spaces import RoomInfo

MAX_PAGE: Final = 50
MAX_ROOMS: Final = 10_000
"""Rooms of one space that are walked through."""
SPACE: Final = "m.space"
_ORDER: Final = re.compile(r"[\x20-\x7e]{1,50}")


class Child(msgspec.Struct, kw_only=True):
    """An m.space.child event, stripped."""

    type: str
    state_key: str
    content: JsonObject
    sender: str
    origin_server_ts: int

    @property
    def is_valid(self) -> bool:
        """Whether the space really has this child."""
        via = self.content.get("via")
        return isinstance(via, list) and bool(via)

    @property
    def rank(self) -> tuple[bool, str, int, str]:
        """What children are sorted by."""
        order = self.content.get("order")
        ordered = isinstance(order, str) and _ORDER.fullmatch(order) is not None
        return not ordered, str(order) if ordered else "", self.origin_server_ts, self.state_key


class HierarchyRoom(RoomSummary, omit_defaults=True, kw_only=True):
    """A room of the tree, and its own children where it is a space."""

    children_state: list[Child]


class View(msgspec.Struct, frozen=True, array_like=True):
    """How a tree is walked. `max_depth` None: to its end."""

    max_depth: int | None = None
    suggested_only: bool = False


class _Token(msgspec.Struct, frozen=True, array_like=True):
    view: View
    start: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROOMS)]


class Spaces:
    """Shows the trees of spaces."""

    def __init__(self, db: Database, summaries: Summaries) -> None:
        self._db = db
        self._summaries = summaries

    async def hierarchy(
        self, user_id: str, room_id: str, view: View, *, limit: int | None, start: str | None
    ) -> tuple[list[HierarchyRoom], str | None]:
        """Give a part of a space's tree, depth first, each room once, and the token of the next part.

        Raises:
            InvalidParam: a limit below 1, a depth below 0, a token that is none or of another view.
            Forbidden: the user may not see the space.
        """
        if (limit is not None and limit < 1) or (view.max_depth is not None and view.max_depth < 0):
            raise InvalidParam("`limit` is at least 1 and `max_depth` not negative")
        skip = _parse(start, view)
        size = min(limit or MAX_PAGE, MAX_PAGE)
        root = (await self._db.read(spaces.list_infos, (room_id,), user_id)).get(room_id)
        if root is None or not await self._summaries.may_see(root, user_id):
            raise Forbidden("You may not see this room")
        rooms: list[HierarchyRoom] = []
        index = 0
        async for info, children in self._walk(root, user_id, view):
            if index >= skip + size:
                return rooms, _token(_Token(view, index))
            if index >= skip:
                summary = msgspec.structs.asdict(await self._summaries.summarize(info))
                rooms.append(HierarchyRoom(children_state=children, **summary))
            index += 1
        return rooms, None

    async def _walk(
        self, root: RoomInfo, user_id: str, view: View
    ) -> AsyncIterator[tuple[RoomInfo, list[Child]]]:
        """Give each room of the tree that the user may see, with its children."""
        waiting = [(root, 0)]
        seen: set[str] = set()
        while waiting and len(seen) < MAX_ROOMS:
            info, depth = waiting.pop()
            if info.room_id in seen:
                continue
            seen.add(info.room_id)
            if not await self._summaries.may_see(info, user_id):
                continue
            children = await self._children(info, view)
            yield info, children
            if children and (view.max_depth is None or depth < view.max_depth):
                ids = [child.state_key for child in children if child.state_key not in seen]
                known = await self._db.snapshot(spaces.list_infos, ids, user_id)
                waiting.extend((known[child], depth + 1) for child in reversed(ids) if child in known)

    async def _children(self, info: RoomInfo, view: View) -> list[Child]:
        if info.room_type != SPACE:
            return []
        events = await self._db.snapshot(spaces.list_children, info.room_id)
        children = [msgspec.json.decode(client, type=Child) for client in events]
        return sorted(
            (
                child
                for child in children
                if child.is_valid and (not view.suggested_only or child.content.get("suggested") is True)
            ),
            key=lambda child: child.rank,
        )


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
