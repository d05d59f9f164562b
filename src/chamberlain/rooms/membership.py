"""Joining, inviting, leaving, kicking, banning, knocking (client-server API, Room membership)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chamberlain.matrix.auth_rules.selection import AUTHORIZER
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.rooms.blocked import must_not_be_blocked
from chamberlain.rooms.inheritance import Inheritance
from chamberlain.rooms.invites import Invites
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import LeaveGuard, Profiles
from chamberlain.rooms.remote_membership import RemoteMembership
from chamberlain.rooms.restricted import find_authorizer
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
        self,
        db: Database,
        heads: Heads,
        submit: Submit,
        profiles: Profiles,
        inheritance: Inheritance,
        remote: RemoteMembership,
        invites: Invites,
    ) -> None:
        self._db = db
        self._heads = heads
        self._submit = submit
        self._profiles = profiles
        self._inheritance = inheritance
        self._remote = remote
        self._invites = invites
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
        servers: Sequence[str] = (),
    ) -> EventID:
        """Have the user in the room; a user who is in it stays as they are.

        `content`: what else the member event is to hold; what decides over the join is left out of it.
        `servers`: those that may be in the room, where this one is not.

        Raises:
            NotFound: there is no such room, or no server is known that is in it.
            Forbidden: the join rules or a ban keep the user out, or the room is blocked.
            MatrixError: what other servers say against it, or that they cannot be reached.
        """
        await must_not_be_blocked(self._db, room_id)
        extra: JsonObject = {key: value for key, value in (content or {}).items() if key not in _OURS}
        if third_party_signed is not None:
            extra["third_party_invite"] = {"signed": third_party_signed}
        event_id: EventID | None = None
        if await self._remote.is_elsewhere(room_id, user_id):
            whole = await self._content(user_id, "join", reason, extra)
            event_id = await self._remote.join(user_id, room_id, servers, whole)
        if event_id is None:
            current = await self._heads.current(room_id, MEMBER, user_id)
            if current is not None and membership_of(current) == "join":
                return current.event_id
            event_id = await self._join_here(user_id, room_id, reason, extra)
        await self._inheritance.after_join(user_id, room_id)
        return event_id

    async def _join_here(self, user_id: str, room_id: str, reason: str | None, extra: JsonObject) -> EventID:
        """Have the user join a room that this server is in."""
        try:
            authorizer = await find_authorizer(self._db, self._heads, room_id, user_id, is_ours=True)
        except MatrixError as error:
            if error.code is not ErrCode.UNABLE_TO_GRANT_JOIN:
                raise
            whole = await self._content(user_id, "join", reason, extra)
            event_id = await self._remote.join_by_authority(user_id, room_id, whole)
            if event_id is None:
                raise
            return event_id
        if authorizer is not None:
            extra = extra | {AUTHORIZER: authorizer}
        return await self._change(user_id, room_id, user_id, "join", reason, extra)

    async def leave(self, user_id: str, room_id: str, *, reason: str | None = None) -> EventID:
        """Have the user out of the room: a member leaves, an invitation is rejected, a knock retracted.

        Raises:
            NotFound: there is no such room.
            Forbidden: the user is not in the room, or is banned.
            MatrixError: CANNOT_LEAVE_SERVER_NOTICE_ROOM.
        """
        if await self._remote.is_elsewhere(room_id, user_id):
            content = await self._content(user_id, "leave", reason)
            return await self._remote.leave(user_id, room_id, content)
        current = await self._heads.current(room_id, MEMBER, user_id)
        membership = membership_of(current)
        if current is None or membership not in IN_ROOM:
            if membership == "leave" and current is not None:
                return current.event_id
            # An invitation from before this server came into the room may have been taken back unheard.
            return await self._remote.leave(user_id, room_id, {"membership": "leave"})
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
            Forbidden: the sender may not invite, the target is in the room or banned, or the room is blocked.
            MatrixError: INVITE_BLOCKED; what the target's server says against it, or that it cannot be reached.
        """
        await must_not_be_blocked(self._db, room_id)
        extra: JsonObject = {"is_direct": True} if is_direct else {}
        content = await self._content(target, "invite", reason, extra)
        return await self._invites.invite(sender, room_id, target, content)

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

    async def knock(
        self, user_id: str, room_id: str, *, reason: str | None = None, servers: Sequence[str] = ()
    ) -> EventID:
        """Have the user ask to be let in. `servers`: those that may be in the room, where this one is not.

        Raises:
            NotFound: there is no such room, or no server is known that is in it.
            Forbidden: the join rules do not allow it, the user is in the room, invited or banned, or it is blocked.
            MatrixError: what other servers say against it, or that they cannot be reached.
        """
        await must_not_be_blocked(self._db, room_id)
        if await self._remote.is_elsewhere(room_id, user_id):
            content = await self._content(user_id, "knock", reason)
            return await self._remote.knock(user_id, room_id, servers, content)
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
        shows_profile = membership in ("join", "knock") or sender == target
        content = await self._content(target, membership, reason, extra, shows_profile=shows_profile)
        return await self._submit.send(sender, room_id, MEMBER, content, state_key=target)

    async def _content(
        self,
        user_id: str,
        membership: str,
        reason: str | None,
        extra: Mapping[str, Any] | None = None,
        *,
        shows_profile: bool = True,
    ) -> JsonObject:
        content: JsonObject = {"membership": membership}
        if shows_profile:
            content |= profile_content(*await self._profiles.in_rooms(user_id))
        if reason is not None:
            content["reason"] = reason
        return content | dict(extra or {})


def membership_of(event: Event | None) -> str | None:
    """The membership that a member event gives; None without an event."""
    return None if event is None else text_of(event.content, "membership")
