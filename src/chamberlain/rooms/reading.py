"""Reading a room's state, as far as the reader may (client-server API, Getting events for a room)."""

from collections.abc import Sequence

import msgspec

from chamberlain.matrix.errors import Forbidden, InvalidParam, NotFound
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.visibility import HISTORY_VISIBILITY, HistoryVisibility, parse_history_visibility
from chamberlain.rooms.pipeline.consequences import MEMBER, text_of
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.stream_tokens import parse_position
from chamberlain.runtime.clock import Clock
from chamberlain.store import memberships, room_state
from chamberlain.store.database import Database
from chamberlain.store.room_state import ClientEvent
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import point_at

_content = msgspec.json.Decoder(dict[str, msgspec.Raw])


class JoinedMember(msgspec.Struct, omit_defaults=True):
    """How a member shows in joined_members."""

    display_name: str | None = None
    avatar_url: str | None = None


class Reading:
    """Gives state to those who may see it."""

    def __init__(self, db: Database, clock: Clock, heads: Heads) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads

    async def point_for(self, user_id: str, room_id: str) -> Point:
        """Give the point whose state the user sees: now for members, then for those who left.

        Raises:
            Forbidden: the user never was in the room and the world may not look; the room may not exist.
        """
        head = await self._heads.find(room_id)
        if head is None:
            raise Forbidden("You are not in this room")
        found = await self._db.read(memberships.find, room_id, user_id)
        if found is not None and found.membership == "join":
            return head.point
        visibility = await self._heads.current(room_id, HISTORY_VISIBILITY)
        if (
            visibility is not None
            and parse_history_visibility(visibility.content) is HistoryVisibility.WORLD_READABLE
        ):
            return head.point
        if found is not None and found.membership in ("leave", "ban") and not found.forgotten:
            point = await self._db.read(room_state.point_after, found.event_id)
            if point is not None and await self._was_in(found.event_id):
                return point
        raise Forbidden("You are not in this room")

    async def _was_in(self, leave_event_id: str) -> bool:
        """Whether the membership that this event ended was a join: a kick of an invited user shows nothing."""
        return await self._db.read(memberships.ended_a_join, leave_event_id)

    async def state(self, user_id: str, room_id: str) -> bytes:
        """Give every state event that the user sees, as a JSON array of client events.

        Raises:
            Forbidden: as `point_for`.
        """
        point = await self.point_for(user_id, room_id)
        return self._array(await self._db.snapshot(room_state.list_state, point))

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
        return _with_age(found, self._clock.now())

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
        point = await self.point_for(user_id, room_id)
        if at is not None:
            position = parse_position(at)
            if position is None:
                raise InvalidParam("`at` is no token of this server")
            earlier = await self._db.read(point_at, room_id, position)
            point = point if earlier is None else earlier
        events = await self._db.snapshot(room_state.list_members, point)
        if membership is not None or not_membership is not None:
            events = [event for event in events if _is_wanted(event, membership, not_membership)]
        return self._array(events)

    async def joined_members(self, user_id: str, room_id: str) -> dict[UserID, JoinedMember]:
        """Give who is joined now, to one who is.

        Raises:
            Forbidden: the user is not in the room.
        """
        head = await self._heads.find(room_id)
        member = await self._heads.current(room_id, MEMBER, user_id) if head is not None else None
        if member is None or text_of(member.content, "membership") != "join":
            raise Forbidden("You are not in this room")
        joined = await self._db.read(memberships.members_of, room_id, ("join",))
        return {UserID(m.user_id): JoinedMember(m.display_name, m.avatar_url) for m in joined}

    def _array(self, events: Sequence[ClientEvent]) -> bytes:
        now = self._clock.now()
        return b"[" + b",".join([_with_age(event, now) for event in events]) + b"]"


def _with_age(event: ClientEvent, now: int) -> bytes:
    client, sent_at = event
    return b'%b,"unsigned":{"age":%d}}' % (client[:-1], max(now - sent_at, 0))


def _is_wanted(event: ClientEvent, membership: str | None, not_membership: str | None) -> bool:
    content: JsonObject = msgspec.json.decode(_content.decode(event[0])["content"])
    found = content.get("membership")
    return (membership is None or found == membership) and (not_membership is None or found != not_membership)
