"""Joining, inviting, leaving, kicking, banning, knocking (client-server API, Room membership)."""

from collections.abc import Mapping
from typing import Any, Final

from chamberlain.matrix.auth_rules.selection import AUTHORIZER
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.event_types import JOIN_RULES, MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.rooms.inheritance import Inheritance
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import LeaveGuard, Profiles
from chamberlain.rooms.power import levels_in
from chamberlain.rooms.restricted import RESTRICTED, allowed_rooms, is_in_any
from chamberlain.store import memberships
from chamberlain.store.database import Database

_OURS: Final = ("membership", "third_party_invite", AUTHORIZER)
IN_ROOM: Final = ("join", "invite", "knock")
"""What ends with a leave event."""


def profile_content(display_name: str | None, avatar_url: str | None) -> JsonObject:
    """The part of a member event's content that tells the user's profile."""
    told = {"displayname": display_name, "avatar_url": avatar_url}
    return {name: text for name, text in told.items() if text is not None}


class Membership:
    """Changes what a user is in a room."""

    def __init__(
        self, db: Database, heads: Heads, submit: Submit, profiles: Profiles, inheritance: Inheritance
    ) -> None:
        self._db = db
        self._heads = heads
        self._submit = submit
        self._profiles = profiles
        self._inheritance = inheritance
        self.leave_guard: LeaveGuard | None = None
        """Set by who must be able to refuse that users leave: server notices."""

    async def join(
        self,
        user_id: str,
        room_id: str,
        *,
        reason: str | None = None,
        third_party_signed: JsonObject | None = None,
        content: JsonObject | None = None,
    ) -> EventID:
        """Have the user in the room; a user who is in it stays as they are.

        `content`: what else the member event is to hold; what decides over the join is left out of it.

        Raises:
            NotFound: there is no such room.
            Forbidden: the join rules or a ban keep the user out.
        """
        current = await self._heads.current(room_id, MEMBER, user_id)
        if current is not None and current.content.get("membership") == "join":
            return current.event_id
        extra: JsonObject = {key: value for key, value in (content or {}).items() if key not in _OURS}
        if third_party_signed is not None:
            extra["third_party_invite"] = {"signed": third_party_signed}
        authorizer = await self._authorizer(room_id, current)
        if authorizer is not None:
            if not await is_in_any(self._db, await allowed_rooms(self._heads, room_id), user_id):
                raise Forbidden("You are in none of the rooms whose members may join")
            extra[AUTHORIZER] = authorizer
        event_id = await self._change(user_id, room_id, user_id, "join", reason, extra)
        await self._inheritance.after_join(user_id, room_id)
        return event_id

    async def leave(self, user_id: str, room_id: str, *, reason: str | None = None) -> EventID:
        """Have the user out of the room: a member leaves, an invitation is rejected, a knock retracted.

        Raises:
            NotFound: there is no such room.
            Forbidden: the user is not in the room, or is banned.
            MatrixError: CANNOT_LEAVE_SERVER_NOTICE_ROOM.
        """
        current = await self._heads.current(room_id, MEMBER, user_id)
        membership = membership_of(current)
        if current is None or membership not in IN_ROOM:
            if membership == "leave" and current is not None:
                return current.event_id
            raise Forbidden("You are not in this room")
        if self.leave_guard is not None:
            await self.leave_guard(user_id, room_id, membership)
        return await self._change(user_id, room_id, user_id, "leave", reason)

    async def invite(
        self,
        sender: str,
        room_id: str,
        target: str,
        *,
        reason: str | None = None,
        is_direct: bool = False,
    ) -> EventID:
        """Have the target invited.

        Raises:
            NotFound: there is no such room.
            Forbidden: the sender may not invite, or the target is in the room or banned.
        """
        extra: JsonObject = {"is_direct": True} if is_direct else {}
        return await self._change(sender, room_id, target, "invite", reason, extra)

    async def kick(self, sender: str, room_id: str, target: str, *, reason: str | None = None) -> EventID:
        """Have the target out of the room.

        Raises:
            NotFound: there is no such room.
            Forbidden: the target is not in the room, or the sender may not kick them.
        """
        current = await self._heads.current(room_id, MEMBER, target)
        if membership_of(current) not in IN_ROOM:
            raise Forbidden("The user is not in this room")
        return await self._change(sender, room_id, target, "leave", reason)

    async def ban(self, sender: str, room_id: str, target: str, *, reason: str | None = None) -> EventID:
        """Have the target out of the room and kept out; a banned user stays banned.

        Raises:
            NotFound: there is no such room.
            Forbidden: the sender may not ban the target.
        """
        return await self._change(sender, room_id, target, "ban", reason)

    async def unban(self, sender: str, room_id: str, target: str, *, reason: str | None = None) -> EventID:
        """Have the target free to come again.

        Raises:
            NotFound: there is no such room.
            MatrixError: BAD_STATE (403) where the target is not banned.
            Forbidden: the sender may not unban them.
        """
        current = await self._heads.current(room_id, MEMBER, target)
        if membership_of(current) != "ban":
            raise MatrixError(ErrCode.BAD_STATE, "The user is not banned", status=403)
        return await self._change(sender, room_id, target, "leave", reason)

    async def knock(self, user_id: str, room_id: str, *, reason: str | None = None) -> EventID:
        """Have the user ask to be let in.

        Raises:
            NotFound: there is no such room.
            Forbidden: the join rules do not allow it, or the user is in the room, invited or banned.
        """
        return await self._change(user_id, room_id, user_id, "knock", reason)

    async def forget(self, user_id: str, room_id: str) -> None:
        """Have the room, which the user has left, gone from their lists and syncs.

        Raises:
            MatrixError: UNKNOWN (400) while the user is in the room.
        """
        found = await self._db.read(memberships.find, room_id, user_id)
        if found is None:
            return
        if found.membership in IN_ROOM:
            raise MatrixError(ErrCode.UNKNOWN, "Leave the room before you forget it", status=400)
        await self._db.write(memberships.forget, room_id, user_id)

    async def joined_rooms(self, user_id: str) -> list[RoomID]:
        """Give the rooms that the user is joined to, the first joined first."""
        rooms = await self._db.read(memberships.rooms_of, user_id, ("join",))
        return [RoomID(room.room_id) for room in rooms]

    async def _change(
        self,
        sender: str,
        room_id: str,
        target: str,
        membership: str,
        reason: str | None,
        extra: Mapping[str, Any] | None = None,
    ) -> EventID:
        await self._heads.get(room_id)
        content: JsonObject = {"membership": membership}
        if membership in ("join", "knock", "invite") or sender == target:
            content |= profile_content(*await self._profiles.in_rooms(target))
        if reason is not None:
            content["reason"] = reason
        return await self._submit.send(sender, room_id, MEMBER, content | dict(extra or {}), state_key=target)

    async def _authorizer(self, room_id: str, current: Event | None) -> str | None:
        """The local member who vouches for a restricted join; None where nobody needs to."""
        rules = await self._heads.current(room_id, JOIN_RULES)
        rule = rules.content.get("join_rule") if rules is not None else None
        if rule not in RESTRICTED or membership_of(current) == "invite":
            return None
        local = await self._db.read(memberships.local_members, room_id, ("join",))
        levels = await levels_in(self._heads, room_id)
        able = [user_id for user_id in local if levels.user_level(user_id) >= levels.invite]
        if not able:
            raise MatrixError(ErrCode.UNABLE_TO_GRANT_JOIN, "Nobody here may let you into this room")
        return max(able, key=levels.user_level)


def membership_of(event: Event | None) -> str | None:
    """The membership that a member event gives; None without an event."""
    return None if event is None else text_of(event.content, "membership")
