"""Inviting users, ours and those of other servers, which sign first (server-server API, Inviting to a room)."""

from chamberlain.matrix.errors import BadlySigned, Forbidden
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.ids import EventID, find_server_of
from chamberlain.matrix.remote_errors import BadAnswer, RemoteError, for_client
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.handshake import Handshakes
from chamberlain.rooms.invite_permission import InvitePermission
from chamberlain.rooms.pipeline.accept import Accept
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.stripped import shown_events
from chamberlain.rooms.templates import Templates


class Invites:
    """Has users invited who want to be."""

    def __init__(
        self,
        heads: Heads,
        submit: Submit,
        templates: Templates,
        handshakes: Handshakes,
        accept: Accept,
        permission: InvitePermission,
        server_name: str,
    ) -> None:
        self._heads = heads
        self._submit = submit
        self._templates = templates
        self._handshakes = handshakes
        self._accept = accept
        self._permission = permission
        self._server_name = server_name

    def is_ours(self, user_id: str) -> bool:
        """Whether this is an id of this server."""
        return find_server_of(user_id) == self._server_name

    async def invite(self, sender: str, room_id: str, target: str, content: JsonObject) -> EventID:
        """Have the target invited by an event of this content; give its id. The same again changes nothing.

        Raises:
            NotFound: there is no such room.
            Forbidden: the room's state does not allow it, or the room is not open to other servers.
            MatrixError: INVITE_BLOCKED; what the target's server says against it, or that it cannot be reached.
        """
        present = await self._heads.current(room_id, MEMBER, target)
        if present is not None and present.sender == sender and present.content == content:
            return present.event_id
        if not self.is_ours(target):
            return await self._invite_remote(sender, room_id, target, content)
        await self._permission.must_allow(target)
        return await self._submit.send(sender, room_id, MEMBER, content, state_key=target)

    async def _invite_remote(self, sender: str, room_id: str, target: str, content: JsonObject) -> EventID:
        """While the other server thinks it over the room goes on: the invite then is on a fork of its own."""
        if not (await self._heads.get(room_id)).summary["federatable"]:
            raise Forbidden("This room is not open to other servers")
        draft = await self._templates.draft(room_id, sender, target, content)
        shown = await shown_events(self._heads, room_id, sender)
        try:
            signed = await self._handshakes.invite(find_server_of(target) or "", draft, shown)
        except RemoteError as error:
            raise for_client(error) from error
        try:
            return (await self._accept.receive(self._server_name, signed)).event_id
        except BadlySigned as error:
            raise for_client(BadAnswer(find_server_of(target) or "", error.message)) from error
