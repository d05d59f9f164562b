"""Telling each room of a user that their name or avatar has changed (client-server API, Profiles)."""

import asyncio
from collections.abc import Sequence
from typing import Final

from chamberlain.matrix.auth_rules.selection import AUTHORIZER
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.membership import membership_of, profile_content
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import StateMoved, Submit
from chamberlain.rooms.ports import Profiles
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.follower import Follower
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import cursors, kinds, memberships
from chamberlain.store.database import Database
from chamberlain.store.tx import Change

NAME: Final = "profile fan-out"
BATCH: Final = 50
AT_ONCE: Final = 20
_NAMES: Final = ("displayname", "avatar_url")
_OF_THE_JOIN: Final = frozenset({AUTHORIZER, "third_party_invite", "reason", *_NAMES})
"""What does not pass from the event of a join to those after it."""


class ProfileFanout:
    """Keeps the member events of joined rooms in step with profiles, also where the server stopped meanwhile."""

    def __init__(self, db: Database, clock: Clock, heads: Heads, submit: Submit, profiles: Profiles) -> None:
        self._db = db
        self._heads = heads
        self._submit = submit
        self._profiles = profiles
        self._tasks = Tasks()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._follower: Follower[str] = Follower(
            NAME,
            clock,
            load=lambda: db.read(cursors.get, NAME),
            read=lambda after: db.read(cursors.list_profile_changes, after, BATCH),
            handle=self._tell,
            save=lambda position: db.write(cursors.advance, NAME, position),
        )
        db.subscribe(self._changed)

    def start(self) -> None:
        """Begin to follow."""
        self._tasks.spawn(NAME, self._follower.run())

    async def close(self) -> None:
        """Stop; what was not told yet is told after the next start."""
        await self._tasks.close()

    def _changed(self, changes: Sequence[Change]) -> None:
        if any(change.kind == kinds.PROFILE for change in changes):
            self._follower.wake()

    async def _tell(self, users: Sequence[str]) -> None:
        await asyncio.gather(*map(self._tell_rooms_of, dict.fromkeys(users)))

    async def _tell_rooms_of(self, user_id: str) -> None:
        rooms = await self._db.read(memberships.rooms_of, user_id, ("join",))
        await asyncio.gather(*(self._tell_room(user_id, room.room_id) for room in rooms))

    async def _tell_room(self, user_id: str, room_id: str) -> None:
        async with self._places:
            try:
                member = await self._heads.current(room_id, MEMBER, user_id)
                content = None if member is None else await self._content(user_id, member)
                if content is not None and member is not None:
                    await self._submit.send(
                        user_id, room_id, MEMBER, content, state_key=user_id, instead_of=member.event_id
                    )
            except StateMoved:
                # Another worker was first, or the user has left: both leave nothing to tell.
                return
            except MatrixError as refusal:
                # A room that refuses its member's new name keeps the old one.
                if refusal.status >= 500:
                    raise

    async def _content(self, user_id: str, member: Event) -> JsonObject | None:
        """The content of the member event that is due; None where the present one tells all."""
        if membership_of(member) != "join":
            return None
        told = profile_content(*await self._profiles.in_rooms(user_id))
        if told == {name: text for name, text in member.content.items() if name in _NAMES}:
            return None
        return {key: value for key, value in member.content.items() if key not in _OF_THE_JOIN} | told
