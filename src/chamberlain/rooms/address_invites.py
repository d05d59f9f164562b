"""Inviting whoever has an address: an e-mail address, a phone number (client-server API, Third-party invites)."""

from typing import Final

import msgspec

from chamberlain.accounts.identity_servers import Address, IdentityServers
from chamberlain.matrix.auth_rules.third_party import signers_of
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.types import JsonObject, text_of
from chamberlain.rooms.invites import Invites
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.membership import Membership
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.ports import Profiles
from chamberlain.rooms.power import levels_in

THIRD_PARTY_INVITE: Final = "m.room.third_party_invite"
MAX_SIGNERS: Final = 3
"""So many keys that have signed are looked at."""
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
        invites: Invites,
        profiles: Profiles,
        identity_servers: IdentityServers,
    ) -> None:
        self._heads = heads
        self._submit = submit
        self._membership = membership
        self._invites = invites
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

    async def redeem(self, sender: str, room_id: str, target: str, signed: JsonObject) -> None:
        """Have the user invited who turned out to have the address of an invitation, as an identity server has signed.

        Only here it is asked whether it still stands by the key: what another server has let pass stays.

        Raises:
            Forbidden: the room has no such invitation, nobody has signed, or the server does not stand by the key.
            MatrixError: UNKNOWN (502) where that cannot be asked; INVITE_BLOCKED; as for any other invitation.
        """
        original = await self._heads.current(room_id, THIRD_PARTY_INVITE, text_of(signed, "token") or "")
        invite = {} if original is None else original.content
        if not await self._is_vouched_for(invite, signed):
            raise Forbidden("No identity server stands by this invitation")
        proof = {"display_name": text_of(invite, "display_name") or "", "signed": signed}
        content: JsonObject = {"membership": "invite", "third_party_invite": proof}
        await self._invites.invite(sender, room_id, target, content)

    async def _is_vouched_for(self, invite: JsonObject, signed: JsonObject) -> bool:
        for key, url in list(dict.fromkeys(signers_of(signed, invite)))[:MAX_SIGNERS]:
            if url is None or await self._identity_servers.is_key_valid(url, key):
                return True
        return False

    async def _shown(self, sender: str, room_id: str) -> dict[str, str]:
        """What the invitation may tell of the room and of who invites."""
        name, avatar = await self._profiles.in_rooms(sender)
        told = {"sender_display_name": name, "sender_avatar_url": avatar}
        for shown_as, kind, key in _SHOWN:
            event = await self._heads.current(room_id, kind)
            told[shown_as] = None if event is None else text_of(event.content, key)
        return {shown_as: text for shown_as, text in told.items() if text}
