"""Asking servers to let users in and out of rooms (server-server API, Joining, Knocking, Inviting, Leaving)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.remote_errors import BadAnswer, Refused
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import ROOM_VERSIONS, get_room_version
from chamberlain.rooms.handshake import MAX_STRIPPED, Membership, Template, Welcome, with_signatures

JOIN_TIMEOUT: Final = 180.0
"""Seconds: a large room takes long to be told."""
_NONE: Final = b"null"
JOIN_BYTES: Final = 256 * 1024 * 1024


class _Made(msgspec.Struct):
    event: JsonObject
    room_version: str = "1"


class _Joined(msgspec.Struct):
    state: list[msgspec.Raw]
    auth_chain: list[msgspec.Raw]
    event: msgspec.Raw = msgspec.Raw(_NONE)
    members_omitted: bool = False
    servers_in_room: list[str] = []


class _Knocked(msgspec.Struct):
    knock_room_state: Any = None


class _Invited(msgspec.Struct):
    event: msgspec.Raw


class Handshakes:
    """Makes the requests of handshakes."""

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def make(self, server: str, membership: Membership, room_id: str, user_id: str) -> Template:
        """Have a template; its room, user, type and membership are what was asked for.

        Raises:
            RemoteError: the server gives none, or one that is not usable.
        """
        versions = [("ver", version) for version in ROOM_VERSIONS] if membership != "leave" else []
        body = await self._client.get(
            server,
            federation_path("v1", f"make_{membership}", room_id, user_id),
            versions,
            even_if_failing=True,
        )
        made = decode_answer(server, body, _Made)
        event, content = made.event, made.event.get("content")
        expected = {"type": MEMBER, "room_id": room_id, "sender": user_id, "state_key": user_id}
        if (
            any(event.get(name) != value for name, value in expected.items())
            or not isinstance(content, dict)
            or content.get("membership") != membership
        ):
            raise BadAnswer(server, "the template is for another event")
        try:
            return Template(get_room_version(made.room_version), event)
        except MatrixError:
            raise BadAnswer(server, "the room has a version that is not known here") from None

    async def send_join(self, server: str, join: Event, *, omit_members: bool = False) -> Welcome:
        """Have the join in the room, and hear what the room is; without its members, if the server can do that.

        Raises:
            RemoteError: the server does not let the user in, or gives no usable answer.
        """
        query = "?omit_members=true" if omit_members else ""
        body = await self._send(server, "send_join", join, query, timeout=JOIN_TIMEOUT, max_bytes=JOIN_BYTES)
        found = decode_answer(server, body, _Joined)
        if found.members_omitted and not omit_members:
            raise BadAnswer(server, "it leaves out members without being asked to")
        pdu = bytes(found.event)
        event = join if pdu == _NONE else with_signatures(join, pdu)
        if event is None:
            raise BadAnswer(server, "it gives back another event")
        return Welcome(
            event,
            [bytes(pdu) for pdu in found.state],
            [bytes(pdu) for pdu in found.auth_chain],
            found.members_omitted,
            found.servers_in_room,
        )

    async def send_leave(self, server: str, leave: Event) -> None:
        """Have the leave in the room.

        Raises:
            RemoteError: the server does not take it.
        """
        await self._send(server, "send_leave", leave)

    async def send_knock(self, server: str, knock: Event) -> Sequence[JsonObject]:
        """Have the knock in the room; give the room's stripped state, at most `MAX_STRIPPED` events of it.

        Raises:
            RemoteError: the server does not take it, or gives no usable answer.
        """
        path = federation_path("v1", "send_knock", knock.room_id, knock.event_id)
        body = await self._put(server, path, orjson.Fragment(knock.pdu))
        shown = decode_answer(server, body, _Knocked).knock_room_state
        # The knock is in the room, whatever comes with the answer.
        return (
            [one for one in shown[:MAX_STRIPPED] if isinstance(one, dict)] if isinstance(shown, list) else []
        )

    async def invite(self, server: str, invite: Event, shown: Sequence[Event]) -> Event:
        """Give the invite with the signature of the invited user's server too, which is told of `shown` state.

        Whether that signature is a valid one is not looked at.

        Raises:
            RemoteError: the server does not want it, or gives no usable answer.
        """
        state = b"[%b]" % b",".join(event.pdu for event in shown)
        body = {
            "event": orjson.Fragment(invite.pdu),
            "invite_room_state": orjson.Fragment(state),
            "room_version": invite.version.id,
        }
        path = (invite.room_id, invite.event_id)
        try:
            answer = await self._put(server, federation_path("v2", "invite", *path), body)
            signed = decode_answer(server, answer, _Invited)
        except Refused as error:
            if error.status not in (400, 404) or invite.version.has_hash_event_ids:
                raise
            old = b'%b,"unsigned":{"invite_room_state":%b}}' % (invite.pdu[:-1], state)
            answer = await self._put(server, federation_path("v1", "invite", *path), orjson.Fragment(old))
            signed = decode_answer(server, answer, tuple[int, _Invited])[1]
        event = with_signatures(invite, bytes(signed.event))
        if event is None or not SignedForm(event).signatures_of(server):
            raise BadAnswer(server, "it gives back another event, or has not signed it")
        return event

    async def exchange_third_party_invite(self, server: str, room_id: str, event: JsonObject) -> None:
        """Have the server invite a user who has turned out to be behind a third-party identifier.

        Raises:
            RemoteError: the server does not do it.
        """
        await self._put(server, federation_path("v1", "exchange_third_party_invite", room_id), event)

    async def _put(self, server: str, target: str, body: Any, **bounds: Any) -> bytes:
        return await self._client.request(server, "PUT", target, body, even_if_failing=True, **bounds)

    async def _send(self, server: str, call: str, event: Event, query: str = "", **bounds: Any) -> bytes:
        """Hand the event in; what an old server answers comes without the status around it."""
        parts = (call, event.room_id, event.event_id)
        body = orjson.Fragment(event.pdu)
        try:
            return await self._put(server, federation_path("v2", *parts) + query, body, **bounds)
        except Refused as error:
            if not _knows_v1_alone(error):
                raise
        answer = await self._put(server, federation_path("v1", *parts), body, **bounds)
        return bytes(decode_answer(server, answer, tuple[int, msgspec.Raw])[1])


def _knows_v1_alone(error: Refused) -> bool:
    """Whether the server has no endpoint of that version. A room that it does not know is another matter."""
    if error.code == ErrCode.UNRECOGNIZED:
        return True
    return error.status == 404 and error.code != ErrCode.NOT_FOUND
