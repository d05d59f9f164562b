"""Reading a room's state, as far as the reader may (client-server API, Getting events for a room)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chamberlain.matrix.errors import Forbidden, InvalidParam, NotFound
from chamberlain.matrix.event_types import REDACTION
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.access import find_leave, sees_all
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.pipeline.completion import Completion
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.stream_tokens import parse_position
from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds, memberships, room_state
from chamberlain.store.database import Database
from chamberlain.store.room_state import ClientEvent
from chamberlain.store.state.lines import Point
from chamberlain.store.tx import Change

ANSWERS_KEPT: Final = 64
ANSWER_BYTES: Final = 262_144
MEMBERS_SECONDS: Final = 60.0
"""For so long one who asks for members waits until all are known."""

_content = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JoinedMember(msgspec.Struct, omit_defaults=True):
    """How a member shows in joined_members."""

    display_name: str | None = None
    avatar_url: str | None = None


class Reading:
    """Gives state to those who may see it."""

    def __init__(self, db: Database, heads: Heads, completion: Completion) -> None:
        self._db = db
        self._heads = heads
        self._completion = completion
        # What many members ask for one after the other, as long as the room's state stays where it is.
        self._answers: Cache[tuple[str, str], tuple[Point, bytes]] = Cache(ANSWERS_KEPT, "member lists")
        db.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            # A redaction changes what stands at a point; what another worker sent may be one.
            if change.kind == kinds.EVENT and (
                change.payload is None or change.payload.event.type == REDACTION
            ):
                self._answers.pop(("state", change.entity))
                self._answers.pop(("members", change.entity))

    def _kept(self, what: str, room_id: str, point: Point) -> bytes | None:
        kept = self._answers.get((what, room_id))
        return kept[1] if kept is not None and kept[0] == point else None

    def _keep(self, what: str, room_id: str, point: Point, answer: bytes) -> bytes:
        if len(answer) <= ANSWER_BYTES:
            self._answers.set((what, room_id), (point, answer))
        return answer

    async def point_for(self, user_id: str, room_id: str) -> Point:
        """Give the point whose state the user sees: now for members, then for those who left.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
        """
        return (await self._sight_of(user_id, room_id))[0]

    async def _sight_of(self, user_id: str, room_id: str) -> tuple[Point, int | None]:
        """The point of `point_for`, and the position of the user's leave where they see nothing after it."""
        if await sees_all(self._heads, room_id, user_id):
            return (await self._heads.get(room_id)).point, None
        leave = await find_leave(self._db, room_id, user_id)
        point = None if leave is None else await self._db.read(room_state.point_after, leave.event_id)
        if leave is None or point is None:
            raise Forbidden("You are not in this room")
        return point, leave.position

    async def state(self, user_id: str, room_id: str) -> bytes:
        """Give every state event that the user sees, as a JSON array of client events.

        Raises:
            Forbidden: as `point_for`.
        """
        await self._completion.wait(room_id, MEMBERS_SECONDS)
        point = await self.point_for(user_id, room_id)
        kept = self._kept("state", room_id, point)
        if kept is not None:
            return kept
        events = await self._db.snapshot(room_state.list_state, point)
        return self._keep("state", room_id, point, _array(events))

    async def state_event(self, user_id: str, room_id: str, kind: str, state_key: str) -> bytes:
        """Give one state event that the user sees, in the client form.

        Raises:
            Forbidden: as `point_for`.
            NotFound: there is no such state.
        """
        point = await self.point_for(user_id, room_id)
        found = await self._db.read(room_state.find_one, point, (kind, state_key))
        if found is None:
            raise NotFound("There is no such state")
        return found

    async def state_content(self, user_id: str, room_id: str, kind: str, state_key: str) -> bytes:
        """Give the content of one state event that the user sees.

        Raises:
            Forbidden: as `point_for`.
            NotFound: there is no such state.
        """
        return bytes(_content.decode(await self.state_event(user_id, room_id, kind, state_key))["content"])

    async def members(
        self,
        user_id: str,
        room_id: str,
        *,
        at: str | None = None,
        membership: str | None = None,
        not_membership: str | None = None,
    ) -> bytes:
        """Give the member events that the user sees, now or at a token, as a JSON array of client events.

        Raises:
            Forbidden: as `point_for`.
            InvalidParam: `at` is no token.
        """
        await self._completion.wait(room_id, MEMBERS_SECONDS)
        point, left_at = await self._sight_of(user_id, room_id)
        position = None if at is None else parse_position(at)
        if at is not None and position is None:
            raise InvalidParam("`at` is no token of this server")
        if position is not None and (left_at is None or position < left_at):
            then = await self._db.read(room_state.point_then, room_id, position)
            point = point if then is None else then
        events = await self._db.snapshot(room_state.list_members, point)
        if membership is not None or not_membership is not None:
            events = [event for event in events if _is_wanted(event, membership, not_membership)]
        return _array(events)

    async def joined_members(self, user_id: str, room_id: str) -> bytes:
        """Give who is joined now, by user id with `display_name` and `avatar_url`, to one who is, as a JSON object.

        Raises:
            NotJoined: the user is not in the room.
        """
        await self._completion.wait(room_id, MEMBERS_SECONDS)
        head = await must_be_joined(self._heads, room_id, user_id)
        point = head.point
        kept = self._kept("members", room_id, point)
        if kept is not None:
            return kept
        rows = await self._db.snapshot(memberships.joined_profiles, room_id)
        joined = {member: JoinedMember(name, avatar) for member, name, avatar in rows}
        return self._keep("members", room_id, point, msgspec.json.encode(joined))


def _array(events: Sequence[ClientEvent]) -> bytes:
    return b"[" + b",".join(events) + b"]"


def _is_wanted(event: ClientEvent, membership: str | None, not_membership: str | None) -> bool:
    content: JsonObject = msgspec.json.decode(_content.decode(event)["content"])
    found = content.get("membership")
    return (membership is None or found == membership) and (not_membership is None or found != not_membership)
