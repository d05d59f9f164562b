"""Invitations of our users by users of other servers (server-server API, Inviting to a room)."""

from collections.abc import Sequence

from chamberlain.accounts.users import Users
from chamberlain.federation.own_keys import OwnKeys
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadlySigned, Forbidden, InvalidParam, MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, sign
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, RoomVersion
from chamberlain.rooms.acl import must_be_allowed
from chamberlain.rooms.blocked import must_not_be_blocked
from chamberlain.rooms.handshake import MAX_STRIPPED
from chamberlain.rooms.invite_permission import InvitePermission
from chamberlain.rooms.joined import is_ours
from chamberlain.rooms.outside import Outside
from chamberlain.rooms.pipeline.accept import Accept, Unfounded
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store.database import Database


class Invitations:
    """Takes invites that other servers offer, and signs them."""

    def __init__(
        self,
        db: Database,
        users: Users,
        heads: Heads,
        checks: Checks,
        accept: Accept,
        outside: Outside,
        permission: InvitePermission,
        own_keys: OwnKeys,
    ) -> None:
        self._db = db
        self._users = users
        self._heads = heads
        self._checks = checks
        self._accept = accept
        self._outside = outside
        self._permission = permission
        self._own_keys = own_keys

    async def take(
        self,
        origin: str,
        room_id: str,
        event_id: str,
        version: str,
        pdu: JsonObject,
        shown: Sequence[JsonObject],
    ) -> Event:
        """Have our user invited; give the invite with our signature. Harmless when repeated.

        `shown`: what the other server shows of the room: PDUs, or in room versions before 12 stripped state too.

        Raises:
            MatrixError: INCOMPATIBLE_ROOM_VERSION; INVITE_BLOCKED where the user wants no invitations.
            BadJson, InvalidParam: it is no invite of a user of ours; or what is shown of the room is not of the room;
                or the room is known here, and has another version.
            BadlySigned: it is.
            Forbidden: it is not by a user of the origin; there is no such user; the room does not
                let the server, or is blocked.
        """
        if version not in ROOM_VERSIONS:
            raise MatrixError(
                ErrCode.INCOMPATIBLE_ROOM_VERSION,
                "This server does not know the version of that room",
                room_version=version,
            )
        head = await self._heads.find(room_id)
        known = ROOM_VERSIONS[version] if head is None else head.version
        if known.id != version and {known.id, version} != {"1", "2"}:
            raise InvalidParam("The room is of another version")
        event = await self._parse(origin, room_id, event_id, known, pdu)
        await must_be_allowed(self._heads, room_id, origin)
        await must_not_be_blocked(self._db, room_id)
        await self._check_user(event.state_key or "")
        shown = shown[:MAX_STRIPPED]
        if event.version.room_id_is_create_hash:
            await self._check_shown(event, shown)
        signed = sign(event, self._users.server_name, self._own_keys.signing_key)
        is_outside = head is None or not is_ours(head)
        if not is_outside or not await self._outside.wait(signed, origin, shown):
            return await self._received(origin, signed)
        return signed

    async def _received(self, origin: str, signed: Event) -> Event:
        try:
            return await self._accept.receive(origin, signed)
        except Unfounded:
            # The origin sends it to all in the room once it is signed. Then it can give what was before it as well.
            return signed

    async def _parse(
        self, origin: str, room_id: str, event_id: str, version: RoomVersion, pdu: JsonObject
    ) -> Event:
        event = Event.from_dict(pdu, version)
        if event.room_id != room_id or event.event_id != event_id:
            raise InvalidParam("The event is not the one that the path names")
        if event.type != MEMBER or event.content.get("membership") != "invite":
            raise InvalidParam("The event is no invite")
        if find_server_of(event.sender) != origin:
            raise Forbidden("The event is not by a user of your server")
        if event.state_key is None or not self._users.is_local(event.state_key):
            raise InvalidParam("The event does not invite a user of this server")
        passed = await self._checks.passed([event])
        if not passed or passed[0].content != event.content:
            raise BadlySigned
        return event

    async def _check_user(self, user_id: str) -> None:
        if not await self._users.exists(user_id):
            raise Forbidden("There is no such user here")
        await self._permission.must_allow(user_id)

    async def _check_shown(self, event: Event, shown: Sequence[JsonObject]) -> None:
        """Refuse what is shown of the room unless it is of that very room, the create event among it."""
        found = await self._outside.genuine(event, shown)
        if len(found) != len(shown):
            raise InvalidParam("What is shown of the room is not all of it, or not well signed")
        if not any((one["type"], one["state_key"]) == ("m.room.create", "") for one in found):
            raise InvalidParam("The create event is not among what is shown of the room")
