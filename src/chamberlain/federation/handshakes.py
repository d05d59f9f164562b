"""Asking servers to let users in and out of rooms (server-server API, Joining, Knocking, Inviting, Leaving)."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import orjson

from chamberlain.federation.client import FederationClient, decode_answer, federation_path
from chamberlain.federation.large_answers import LargeAnswers
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
    """What is told to one who has joined. The lists are empty: their events are told apart."""

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

    def __init__(self, client: FederationClient, large: LargeAnswers) -> None:
        self._client = client
        self._large = large

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
        try:
            found, state, chain = await self._ask_in(server, "v2", join, omit_members=omit_members)
        except Refused as error:
            if not _knows_v1_alone(error):
                raise
            found, state, chain = await self._ask_in(server, "v1", join, omit_members=False)
        if found.members_omitted and not omit_members:
            raise BadAnswer(server, "it leaves out members without being asked to")
        pdu = bytes(found.event)
        event = join if pdu == _NONE else with_signatures(join, pdu)
        if event is None:
            raise BadAnswer(server, "it gives back another event")
        return Welcome(event, state, chain, found.members_omitted, found.servers_in_room)

    async def _ask_in(
        self, server: str, api: str, join: Event, *, omit_members: bool
    ) -> tuple[_Joined, Sequence[bytes], Sequence[bytes]]:
        """Hand the join in; v1 puts the status around its answer."""
        query = "?omit_members=true" if omit_members else ""
        body, (state, chain) = await self._large.ask(
            server,
            "PUT",
            federation_path(api, "send_join", join.room_id, join.event_id) + query,
            orjson.Fragment(join.pdu),
            lists=("state", "auth_chain"),
            level=1 if api == "v2" else 2,
            timeout=JOIN_TIMEOUT,
            max_bytes=JOIN_BYTES,
            even_if_failing=True,
        )
        if api == "v2":
            return decode_answer(server, body, _Joined), state, chain
        return decode_answer(server, body, tuple[int, _Joined])[1], state, chain

    async def send_leave(self, server: str, leave: Event) -> None:
        """Have the leave in the room.

        Raises:
            RemoteError: the server does not take it.
        """
        parts = ("send_leave", leave.room_id, leave.event_id)
        body = orjson.Fragment(leave.pdu)
        try:
            await self._put(server, federation_path("v2", *parts), body)
        except Refused as error:
            if not _knows_v1_alone(error):
                raise
            await self._put(server, federation_path("v1", *parts), body)

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

    async def _put(self, server: str, target: str, body: Any) -> bytes:
        return await self._client.request(server, "PUT", target, body, even_if_failing=True)


def _knows_v1_alone(error: Refused) -> bool:
    """Whether the server has no endpoint of that version. A room that it does not know is another matter."""
    if error.code == ErrCode.UNRECOGNIZED:
        return True
    return error.status == 404 and error.code != ErrCode.NOT_FOUND
