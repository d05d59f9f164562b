"""Third-party invites that have turned out to be for somebody (server-server API, Third-party invites)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chamberlain.matrix.errors import InvalidParam, MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.ids import find_server_of, parse_room_id, parse_user_id
from chamberlain.matrix.remote_errors import RemoteError
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.acl import must_be_allowed
from chamberlain.rooms.address_invites import AddressInvites
from chamberlain.rooms.handshake import Handshakes
from chamberlain.rooms.joined import is_ours, must_be_ours
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.runtime.log import get_logger

MAX_BOUND: Final = 50
"""So many invitations of one address are looked at."""
_log = get_logger("federation")


class Signed(msgspec.Struct):
    """That a user is behind a third-party invite, signed by the identity server that the invite names."""

    mxid: str
    token: str
    signatures: dict[str, dict[str, str]]


class Bound(msgspec.Struct):
    """An invitation that had waited for somebody to have the address."""

    mxid: str
    room_id: str
    sender: str
    signed: Signed


class ThirdPartyInvites:
    """Makes memberships of third-party invites."""

    def __init__(
        self,
        heads: Heads,
        address_invites: AddressInvites,
        handshakes: Handshakes,
        server_name: str,
    ) -> None:
        self._heads = heads
        self._address_invites = address_invites
        self._handshakes = handshakes
        self._server_name = server_name

    async def exchange(self, origin: str, room_id: str, event: JsonObject) -> None:
        """Have the user invited whom the partial event names. Harmless when repeated.

        Raises:
            NotFound: this server is not in the room.
            InvalidParam: it is no invite by a third-party identifier, in this room, that was signed.
            Forbidden: the room does not let the server, or does not have such a third-party invite; the identity
                server does not stand by it any more.
            MatrixError: what the invited user's server says against it; 502 where the identity server is not there.
        """
        await must_be_ours(self._heads, room_id)
        await must_be_allowed(self._heads, room_id, origin)
        if event.get("type") != MEMBER or event.get("room_id") != room_id:
            raise InvalidParam("The event is not a membership in this room")
        content = event.get("content")
        invite = content.get("third_party_invite") if isinstance(content, dict) else None
        signed = invite.get("signed") if isinstance(invite, dict) else None
        if (
            not isinstance(content, dict)
            or content.get("membership") != "invite"
            or not isinstance(signed, dict)
        ):
            raise InvalidParam("The event is no invite by a third-party identifier")
        await self._address_invites.redeem(
            parse_user_id(event.get("sender")), room_id, parse_user_id(event.get("state_key")), signed
        )

    async def bound(self, user_id: str, invitations: Sequence[Bound]) -> None:
        """An address turned out to be a user of ours, whom these invitations now reach as far as they can."""
        if find_server_of(user_id) != self._server_name:
            raise InvalidParam("The user is not of this server")
        for bound in invitations[:MAX_BOUND]:
            if bound.mxid != user_id or bound.signed.mxid != user_id:
                continue
            try:
                await self._redeem(parse_room_id(bound.room_id), parse_user_id(bound.sender), bound.signed)
            except (MatrixError, RemoteError) as error:
                _log.info("a third-party invite came to nothing", room_id=bound.room_id, error=str(error))

    async def _redeem(self, room_id: str, sender: str, signed: Signed) -> None:
        proof = msgspec.to_builtins(signed)
        head = await self._heads.find(room_id)
        if head is not None and is_ours(head):
            await self._address_invites.redeem(sender, room_id, signed.mxid, proof)
            return
        event: JsonObject = {
            "type": MEMBER,
            "room_id": room_id,
            "sender": sender,
            "state_key": signed.mxid,
            "content": {"membership": "invite", "third_party_invite": {"display_name": "", "signed": proof}},
        }
        await self._handshakes.exchange_third_party_invite(find_server_of(sender) or "", room_id, event)
