"""Letting users of other servers into rooms that this server is in, and out (server-server API, Joining Rooms)."""

from collections.abc import Collection, Sequence

import msgspec

from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix.auth_rules.selection import AUTHORIZER
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, InvalidParam, MatrixError, NotFound
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, sign
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.acl import must_be_allowed, must_be_whole
from chamberlain.rooms.handshake import Membership
from chamberlain.rooms.joined import must_be_ours
from chamberlain.rooms.pipeline.accept import Accept
from chamberlain.rooms.pipeline.head import Head, Heads
from chamberlain.rooms.restricted import find_authorizer
from chamberlain.rooms.stripped import shown_events
from chamberlain.rooms.templates import Templates
from chamberlain.store import welcomes
from chamberlain.store.database import Database
from chamberlain.store.memberships import servers_in
from chamberlain.store.sync import facts
from chamberlain.store.tx import Read


class Made(msgspec.Struct, frozen=True):
    """A template for a member event."""

    room_version: str
    event: JsonObject


class Joined(msgspec.Struct, frozen=True):
    """A join that is in the room, and what its server has to know."""

    event: Event
    told: welcomes.Told
    members_omitted: bool
    servers: Sequence[str]
    """Those with users joined before."""


class Resident:
    """Does for other servers what only one that is in the room can do."""

    def __init__(
        self,
        db: Database,
        heads: Heads,
        templates: Templates,
        accept: Accept,
        server_name: str,
        own_keys: OwnKeys,
    ) -> None:
        self._db = db
        self._heads = heads
        self._templates = templates
        self._accept = accept
        self._server_name = server_name
        self._own_keys = own_keys

    async def make(
        self,
        origin: str,
        room_id: str,
        user_id: str,
        membership: Membership,
        versions: Collection[str] | None = None,
    ) -> Made:
        """Give a template with which the user's server can make the event.

        `versions`: the room versions that it knows, where that matters.

        Raises:
            NotFound: this server is not in the room.
            Forbidden: the user is not of the origin; the room does not let the server or the user.
            MatrixError: INCOMPATIBLE_ROOM_VERSION, with the room's version; UNABLE_TO_AUTHORISE_JOIN;
                UNABLE_TO_GRANT_JOIN.
        """
        if find_server_of(user_id) != origin:
            raise Forbidden("The user is not of your server")
        head = await self._let_in(origin, room_id)
        version = head.version.id
        if versions is not None and version not in versions:
            raise MatrixError(
                ErrCode.INCOMPATIBLE_ROOM_VERSION,
                "Your server does not know the version of this room",
                room_version=version,
            )
        content: JsonObject = {"membership": membership}
        if membership == "join":
            authorizer = await find_authorizer(self._db, self._heads, room_id, user_id, is_ours=False)
            if authorizer is not None:
                content[AUTHORIZER] = authorizer
        template = await self._templates.make(room_id, user_id, content)
        return Made(version, template | {"origin": self._server_name})

    async def join(
        self, origin: str, room_id: str, event_id: str, pdu: JsonObject, *, omit_members: bool = False
    ) -> Joined:
        """Have the join in the room. Harmless when repeated.

        Raises:
            InvalidParam: it is no join, or not the event that the path names.
            NotFound: this server is not in the room.
            Forbidden: it is not by a user of the origin, or badly signed; the room does not let the server or the user.
            MatrixError: UNABLE_TO_AUTHORISE_JOIN, UNABLE_TO_GRANT_JOIN.
        """
        head = await self._let_in(origin, room_id)
        event = _parse(head, origin, room_id, event_id, pdu, "join")
        authorizer = event.content.get(AUTHORIZER)
        if head.version.restricted_joins and isinstance(authorizer, str):
            if find_server_of(authorizer) != self._server_name:
                raise InvalidParam("The join is to be authorized by a user of another server")
            await find_authorizer(self._db, self._heads, room_id, event.sender, is_ours=False)
            event = sign(event, self._server_name, self._own_keys.signing_key)
        servers = [self._server_name, *await self._db.read(servers_in, room_id)]
        event = await self._accept.receive(origin, event)
        if omit_members:
            found = await self._db.snapshot(_told_little, room_id, event.event_id)
        else:
            found = await self._db.snapshot(welcomes.told, event.event_id)
        if found is None:
            raise NotFound("The join has no place in the room")
        return Joined(event, found, omit_members, servers)

    async def leave(self, origin: str, room_id: str, event_id: str, pdu: JsonObject) -> None:
        """Have the leave in the room: an invitation is rejected, a knock retracted. Harmless when repeated.

        Raises:
            InvalidParam, NotFound, Forbidden: as for a join.
        """
        head = await self._let_in(origin, room_id)
        await self._accept.receive(origin, _parse(head, origin, room_id, event_id, pdu, "leave"))

    async def knock(self, origin: str, room_id: str, event_id: str, pdu: JsonObject) -> Sequence[Event]:
        """Have the knock in the room; give what may be shown of the room. Harmless when repeated.

        Raises:
            InvalidParam, NotFound, Forbidden: as for a join.
        """
        head = await self._let_in(origin, room_id)
        await self._accept.receive(origin, _parse(head, origin, room_id, event_id, pdu, "knock"))
        return await shown_events(self._heads, room_id)

    async def _let_in(self, origin: str, room_id: str) -> Head:
        head = await must_be_ours(self._heads, room_id)
        await must_be_allowed(self._heads, room_id, origin)
        await must_be_whole(self._heads, room_id)
        return head


def _parse(
    head: Head, origin: str, room_id: str, event_id: str, pdu: JsonObject, membership: Membership
) -> Event:
    event = Event.from_dict(pdu, head.version)
    if event.room_id != room_id or event.event_id != event_id:
        raise InvalidParam("The event is not the one that the path names")
    if event.type != MEMBER or event.content.get("membership") != membership:
        raise InvalidParam(f"The event is no {membership}")
    if event.state_key != event.sender or find_server_of(event.sender) != origin:
        raise Forbidden("The event is not by and for a user of your server")
    return event


async def _told_little(tx: Read, room_id: str, join_id: str) -> welcomes.Told | None:
    """What to tell of the room without its members, but for those whom clients name it after."""
    known = (await facts(tx, (room_id,))).get(room_id)
    heroes = () if known is None or known.is_named else known.heroes
    return await welcomes.told_without_members(tx, join_id, [(MEMBER, hero) for hero in heroes])
