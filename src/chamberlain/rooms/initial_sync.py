"""A room as it stands, with its newest events, as peeking clients ask for it (client-server API, Room previews)."""

from typing import Final

import msgspec

from chamberlain.rooms.history import History, Query
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.reading import Reading
from chamberlain.rooms.serialize import Viewer
from chamberlain.store import account_data, directory
from chamberlain.store.database import Database

EVENTS: Final = 20


class _Messages(msgspec.Struct):
    start: str
    chunk: list[msgspec.Raw]
    end: str | None = None


class _Chunk(msgspec.Struct, omit_defaults=True):
    end: str
    chunk: list[msgspec.Raw]
    start: str | None = None


class _Data(msgspec.Struct):
    type: str
    content: msgspec.Raw


class _Room(msgspec.Struct, omit_defaults=True):
    room_id: str
    messages: _Chunk
    state: msgspec.Raw
    visibility: str
    account_data: list[_Data]
    membership: str | None = None


class InitialSync:
    """Gives all of one room at once."""

    def __init__(self, db: Database, heads: Heads, history: History, reading: Reading) -> None:
        self._db = db
        self._heads = heads
        self._history = history
        self._reading = reading

    async def room(self, viewer: Viewer, room_id: str) -> bytes:
        """Give the room's state, its 20 newest events and what the user keeps for it, as the body of /initialSync.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
        """
        state = await self._reading.state(viewer.user_id, room_id)
        query = Query(backwards=True, limit=EVENTS)
        page = msgspec.json.decode(await self._history.messages(viewer, room_id, query), type=_Messages)
        own = await self._db.read(account_data.of_room, viewer.user_id, room_id)
        is_public = await self._db.read(directory.is_published, room_id)
        found = _Room(
            room_id=room_id,
            messages=_Chunk(end=page.start, chunk=page.chunk[::-1], start=page.end),
            state=msgspec.Raw(state),
            visibility="public" if is_public else "private",
            account_data=[_Data(data.type, msgspec.Raw(data.content)) for data in own],
            membership=await membership_in(self._heads, room_id, viewer.user_id),
        )
        return msgspec.json.encode(found)
