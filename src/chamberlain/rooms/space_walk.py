"""One walk through the tree of a space, depth first, other servers asked for the rooms that this one is not in."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec

from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.rooms.ports import Elsewhere
from chamberlain.rooms.shown import SPACE, Child, HierarchyRoom, RemoteSpace, RoomSummary
from chamberlain.rooms.summaries import Summaries
from chamberlain.store import spaces
from chamberlain.store.database import Database
from chamberlain.store.spaces import RoomInfo

MAX_ROOMS: Final = 10_000
"""Rooms of one space that are walked through."""
MAX_ASKED: Final = 100
"""Rooms for which other servers are asked in one walk."""
ASKED_AT_ONCE: Final = 10


class View(msgspec.Struct, frozen=True, array_like=True):
    """How a tree is walked. `max_depth` None: to its end."""

    max_depth: int | None = None
    suggested_only: bool = False


class Place(msgspec.Struct, frozen=True):
    """A room of the tree that is still to be looked at, with what is known of it."""

    room_id: str
    depth: int = 0
    via: Sequence[str] = ()
    """Servers that are said to know the room."""
    info: RoomInfo | None = None
    """What this server knows."""
    told: RoomSummary | None = None
    """What was told by the server that told of the space above."""

    @property
    def is_ours(self) -> bool:
        """Whether this server is in the room."""
        return self.info is not None and self.info.local_joined > 0

    @property
    def is_to_be_asked(self) -> bool:
        """Whether others know more of the room than is known here."""
        return not self.is_ours and bool(self.via) and (self.told is None or self.told.room_type == SPACE)


async def children_of(db: Database, info: RoomInfo, *, suggested_only: bool) -> list[Child]:
    """Give the children of a room of this server in their order, none where it is no space."""
    if info.room_type != SPACE:
        return []
    events = await db.snapshot(spaces.list_children, info.room_id)
    children = [msgspec.json.decode(client, type=Child) for client in events]
    return wanted(children, suggested_only=suggested_only)


def wanted(children: Iterable[Child], *, suggested_only: bool) -> list[Child]:
    """Give those of the children that a space really has, in their order."""
    found = [child for child in children if child.via and (child.is_suggested or not suggested_only)]
    return sorted(found, key=lambda child: child.rank)


class SpaceWalk:
    """What one user gets to see of a tree."""

    def __init__(
        self,
        db: Database,
        summaries: Summaries,
        elsewhere: Elsewhere,
        server_name: str,
        user_id: str,
        view: View,
    ) -> None:
        self._db = db
        self._summaries = summaries
        self._elsewhere = elsewhere
        self._server_name = server_name
        self._user_id = user_id
        self._view = view
        self._told: dict[str, RemoteSpace | None] = {}

    async def rooms(self, root_id: str) -> AsyncIterator[HierarchyRoom]:
        """Give each room of the tree that the user may see, once; nothing where that is not even the first one."""
        waiting = await self._places([(root_id, [find_server_of(root_id) or ""])], 0, None)
        seen: set[str] = set()
        while waiting and len(seen) < MAX_ROOMS:
            place = waiting.pop()
            if place.room_id in seen:
                continue
            seen.add(place.room_id)
            await self._ask(place, waiting)
            room = await self._look(place)
            if room is None:
                continue
            yield room
            if self._view.max_depth is None or place.depth < self._view.max_depth:
                children = [(child.state_key, child.via) for child in room.children_state]
                told = None if place.is_ours else self._told.get(place.room_id)
                waiting += reversed(await self._places(children, place.depth + 1, told))

    async def _places(
        self, rooms: Sequence[tuple[str, Sequence[str]]], depth: int, told: RemoteSpace | None
    ) -> list[Place]:
        """The places of rooms with servers that know them; `told`: of the space that they are in."""
        if not rooms:
            return []
        known = await self._db.snapshot(spaces.list_infos, [room_id for room_id, _ in rooms], self._user_id)
        places = [
            Place(
                room_id,
                depth,
                [server for server in via if server and server != self._server_name],
                known.get(room_id),
                None if told is None else told.children.get(room_id),
            )
            for room_id, via in rooms
        ]
        closed = frozenset[str]() if told is None else told.inaccessible
        return [place for place in places if place.is_ours or place.room_id not in closed]

    async def _ask(self, place: Place, waiting: Sequence[Place]) -> None:
        """Have what other servers tell of a room, and with it of some that come soon."""
        if not self._is_to_be_asked(place):
            return
        soon = {place.room_id: place}
        for one in reversed(waiting):
            if len(soon) < ASKED_AT_ONCE and self._is_to_be_asked(one):
                soon.setdefault(one.room_id, one)
        answers = await asyncio.gather(*map(self._hierarchy, soon.values()))
        self._told.update(zip(soon, answers, strict=True))

    def _is_to_be_asked(self, place: Place) -> bool:
        return place.is_to_be_asked and place.room_id not in self._told and len(self._told) < MAX_ASKED

    async def _hierarchy(self, place: Place) -> RemoteSpace | None:
        try:
            return await self._elsewhere.hierarchy(
                place.room_id, place.via, suggested_only=self._view.suggested_only
            )
        except RemoteError:
            return None

    async def _look(self, place: Place) -> HierarchyRoom | None:
        """The room as the user sees it; None where they do not."""
        if place.is_ours:
            return await self._own(place.info)
        told = self._told.get(place.room_id)
        if told is not None:
            children = wanted(told.room.children_state, suggested_only=self._view.suggested_only)
            room = msgspec.structs.replace(told.room, children_state=children)
        elif place.told is not None:
            room = HierarchyRoom(children_state=[], **msgspec.structs.asdict(place.told))
        else:
            return await self._own(place.info)
        return room if await self._summaries.may_see_remote(room, self._user_id) else None

    async def _own(self, info: RoomInfo | None) -> HierarchyRoom | None:
        """A room as this server knows it."""
        if info is None or not await self._summaries.may_see(info, self._user_id):
            return None
        children = await children_of(self._db, info, suggested_only=self._view.suggested_only)
        summary = await self._summaries.summarize(info)
        return HierarchyRoom(children_state=children, **msgspec.structs.asdict(summary))
