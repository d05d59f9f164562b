"""Inviting whoever has an address: an e-mail address, a phone number (client-server API, Third-party invites)."""

from typing import Final

import msgspec

from chamberlain.accounts.identity_servers import Address, IdentityServers
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.membership import Membership
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import Profiles
from chamberlain.rooms.power import levels_in

THIRD_PARTY_INVITE: Final = "m.room.third_party_invite"
_SHOWN: Final = (
    ("room_alias", "m.room.canonical_alias", "alias"),
    ("room_avatar_url", "m.room.avatar", "url"),
    ("room_join_rules", "m.room.join_rules", "join_rule"),
    ("room_name", "m.room.name", "name"),
    ("room_type", "m.room.create", "type"),
)
"""What is told of the room: under which name, from which state event, and where in it that stands."""


class AddressInvites:
    """Invites users by their addresses, now or once somebody has them."""

    def __init__(
        self,
        heads: Heads,
        submit: Submit,
        membership: Membership,
        profiles: Profiles,
        identity_servers: IdentityServers,
    ) -> None:
        self._heads = heads
        self._submit = submit
        self._membership = membership
        self._profiles = profiles
        self._identity_servers = identity_servers

    async def invite(
        self,
        sender: str,
        room_id: str,
        address: Address,
        *,
        reason: str | None = None,
        is_direct: bool = False,
    ) -> None:
        """Have the user invited whose address it is; the room keeps the invitation where it is nobody's yet.

        No server hears of the address before it is clear that the sender may invite.

        Raises:
            NotFound: there is no such room.
            Forbidden: the sender may not invite, or the user cannot be; the identity server refuses.
            InvalidParam: what is said to be an identity server is none.
            MatrixError: UNKNOWN (502) where that cannot be reached; INVITE_BLOCKED; as for any other invitation.
        """
        await self._heads.get(room_id)
        await must_be_joined(self._heads, room_id, sender)
        levels = await levels_in(self._heads, room_id)
        if levels.user_level(sender) < levels.invite:
            raise Forbidden("You do not have the power to invite")
        user_id = await self._identity_servers.look_up(address)
        if user_id is not None:
            await self._membership.invite(sender, room_id, user_id, reason=reason, is_direct=is_direct)
            return
        shown = await self._shown(sender, room_id)
        stored = await self._identity_servers.store_invite(address, room_id, sender, shown)
        first = stored.public_keys[0]
        content: JsonObject = {
            "display_name": stored.display_name,
            "public_keys": msgspec.to_builtins(stored.public_keys),
            # As servers read it that know of one key.
            "public_key": first.public_key,
            "key_validity_url": first.key_validity_url,
        }
        await self._submit.send(sender, room_id, THIRD_PARTY_INVITE, content, state_key=stored.token)

    async def _shown(self, sender: str, room_id: str) -> dict[str, str]:
        """What the invitation may tell of the room and of who invites."""
        name, avatar = await self._profiles.in_rooms(sender)
        told = {"sender_display_name": name, "sender_avatar_url": avatar}
        for shown_as, kind, key in _SHOWN:
            event = await self._heads.current(room_id, kind)
            told[shown_as] = None if event is None else text_of(event.content, key)
        return {shown_as: text for shown_as, text in told.items() if text}
