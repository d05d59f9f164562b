"""Marking how far one has read (client-server API, Receipts, Fully read markers)."""

from typing import Final

from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.runtime.clock import Clock
from chamberlain.store import receipts
from chamberlain.store.database import Database
from chamberlain.store.receipts import FULLY_READ, MAIN, READ, READ_PRIVATE, UNTHREADED, Receipt

TYPES: Final = (READ, READ_PRIVATE, FULLY_READ)


class Receipts:
    """Takes receipts."""

    def __init__(self, db: Database, clock: Clock, heads: Heads) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads

    async def put(
        self, user_id: str, room_id: str, kind: str, event_id: str, *, thread: str | None = None
    ) -> None:
        """Have the user's receipt of this type stand at the event, unless it stands further on.

        Raises:
            InvalidParam: there is no such type, or the event is not in the thread.
            NotJoined: the user is not in the room.
            NotFound: the room has no such event.
        """
        if kind not in TYPES:
            raise InvalidParam("There is no such type of receipt")
        if thread is not None and (not thread or kind == FULLY_READ):
            raise InvalidParam("`thread_id` is `main` or the ID of a thread's root, and not for m.fully_read")
        await must_be_joined(self._heads, room_id, user_id)
        position = await self._db.read(receipts.find_position, room_id, event_id)
        if position is None:
            raise NotFound("The room has no such event")
        if kind == FULLY_READ:
            await self._db.write(receipts.put_fully_read, user_id, room_id, event_id, position)
            return
        if thread is not None:
            await self._check_thread(event_id, thread)
        receipt = Receipt(
            room_id=room_id,
            user_id=user_id,
            type=kind,
            thread=UNTHREADED if thread is None else thread,
            event_id=event_id,
            event_position=position,
            ts=self._clock.now(),
        )
        await self._db.write(receipts.put, receipt)

    async def _check_thread(self, event_id: str, thread: str) -> None:
        if thread != MAIN and not thread.startswith("$"):
            raise InvalidParam("`thread_id` is `main` or the ID of a thread's root")
        if thread not in await self._db.read(receipts.threads_of, event_id):
            raise InvalidParam("The event is not in this thread")
