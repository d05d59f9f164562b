"""Guests leave where they may not be any more (client-server API, Guest Access)."""

from collections.abc import Sequence
from typing import Final

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_types import GUEST_ACCESS, MEMBER
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.remote_membership import RemoteMembership
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, memberships
from chamberlain.store.database import Database
from chamberlain.store.tx import Change

_TASK: Final = "let guests leave"


def admits_guests(content: JsonObject) -> bool:
    """Whether the content of an `m.room.guest_access` lets guests be in the room."""
    return content.get("guest_access") == "can_join"


class Guests:
    """Takes guests out of rooms that stop letting them in, also where the server stopped meanwhile."""

    def __init__(self, db: Database, heads: Heads, submit: Submit, remote: RemoteMembership) -> None:
        self._db = db
        self._heads = heads
        self._submit = submit
        self._remote = remote
        self._tasks = Tasks()
        db.subscribe(self._changed)

    def start(self) -> None:
        """Look after what happened before the start."""
        self._tasks.spawn(_TASK, self._look_at_all())

    async def close(self) -> None:
        """Stop; who should have left leaves after the next start."""
        await self._tasks.close()

    async def check_admits(self, user_id: str, room_id: str) -> None:
        """Do nothing where guests may join the room, or where that is known after the join alone (`see_out`).

        Raises:
            MatrixError: GUEST_ACCESS_FORBIDDEN.
        """
        if not await self._remote.is_elsewhere(room_id, user_id) and not await self._admits(room_id):
            raise _forbidden()

    async def see_out(self, user_id: str, room_id: str) -> None:
        """A guest who has just joined is out again where guests may not join the room.

        Raises:
            MatrixError: GUEST_ACCESS_FORBIDDEN, they are out.
        """
        if not await self._admits(room_id):
            await self._leave(user_id, room_id)
            raise _forbidden()

    async def _admits(self, room_id: str) -> bool:
        access = await self._heads.current(room_id, GUEST_ACCESS)
        return access is not None and admits_guests(access.content)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            arrived = change.payload
            if change.kind != kinds.EVENT or not isinstance(arrived, Arrived):
                continue
            event = arrived.event
            if event.type == GUEST_ACCESS and event.state_key == "" and not admits_guests(event.content):
                self._tasks.spawn(_TASK, self._empty(event.room_id))

    async def _look_at_all(self) -> None:
        for room_id in await self._db.snapshot(memberships.rooms_with_guests):
            if not await self._admits(room_id):
                await self._empty(room_id)

    async def _empty(self, room_id: str) -> None:
        for user_id in await self._db.read(memberships.guests_in, room_id):
            await self._leave(user_id, room_id)

    async def _leave(self, user_id: str, room_id: str) -> None:
        try:
            await self._submit.send(user_id, room_id, MEMBER, {"membership": "leave"}, state_key=user_id)
        except MatrixError as refusal:
            # Whoever has left or was banned meanwhile need not leave.
            if refusal.status >= 500:
                raise


def _forbidden() -> MatrixError:
    return MatrixError(ErrCode.GUEST_ACCESS_FORBIDDEN, "Guests may not join this room")
