"""What servers say to one another so that a user can come into, or out of, a room of the other (server-server API).

The server that is in the room hands out a template, the user's server makes an event of it and hands that in.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from chamberlain.matrix.errors import BadJson, MatrixError
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.hashes import decode_for
from chamberlain.matrix.signing import SigningKey
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RoomVersion

Membership: TypeAlias = Literal["join", "leave", "knock"]
"""What a user can become by a handshake."""
MAX_STRIPPED: Final = 50
"""So many events of an invitation's or a knock's stripped state are kept."""


class Template(msgspec.Struct, frozen=True):
    """The beginning of a member event, from a server that is in the room."""

    version: RoomVersion
    event: JsonObject


class Welcome(msgspec.Struct, frozen=True):
    """What a server gives to one that has joined: PDUs of the state before the join, and what authorizes them."""

    event: Event
    """The join, with the signature of the server that authorized it, where one did."""
    state: Sequence[bytes]
    auth_chain: Sequence[bytes]
    members_omitted: bool = False
    """Whether members are missing in the state."""
    servers: Sequence[str] = ()
    """The servers in the room, where members are missing."""


class Handshakes(Protocol):
    """How other servers are asked; each raises a RemoteError where one does not do what it should."""

    async def make(self, server: str, membership: Membership, room_id: str, user_id: str) -> Template:
        """Have a template; its room, user, type and membership are what was asked for."""
        ...

    async def send_join(self, server: str, join: Event, *, omit_members: bool = False) -> Welcome:
        """Have the join in the room, and hear what the room is."""
        ...

    async def send_leave(self, server: str, leave: Event) -> None:
        """Have the leave in the room."""
        ...

    async def send_knock(self, server: str, knock: Event) -> Sequence[JsonObject]:
        """Have the knock in the room; give the room's stripped state, at most `MAX_STRIPPED` events of it."""
        ...

    async def invite(self, server: str, invite: Event, shown: Sequence[Event]) -> Event:
        """Give the invite with the signature of the invited user's server too, which is told of `shown` state."""
        ...

    async def exchange_third_party_invite(self, server: str, room_id: str, event: JsonObject) -> None:
        """Have the server invite a user who has turned out to be behind a third-party identifier."""
        ...


def with_signatures(event: Event, pdu: bytes) -> Event | None:
    """The event as it comes back from a server that has signed it; None where anything else came back."""
    try:
        signed = Event.parse(pdu, event.version)
    except MatrixError:
        return None
    return signed if _without_signatures(signed) == _without_signatures(event) else None


def _without_signatures(event: Event) -> JsonObject:
    fields: JsonObject = decode_for(event.version, event.pdu)
    return {name: value for name, value in fields.items() if name != "signatures"}


def complete(template: Template, draft: Draft, *, server_name: str, signing_key: SigningKey) -> Event:
    """The signed event that the draft becomes at the place that the template gives it.

    Raises:
        MatrixError: the template gives it no place that an event may have, or the event is too large.
    """
    version, fields = template.version, template.event
    prev, auth = (_references(fields.get(name), version) for name in ("prev_events", "auth_events"))
    depth = fields.get("depth")
    if type(depth) is not int:
        raise BadJson("`depth` must be an integer")
    event = build(
        draft,
        version=version,
        prev_events=list(prev),
        auth_events=list(auth),
        depth=depth,
        server_name=server_name,
        signing_key=signing_key,
        reference_hashes={**prev, **auth},
    )
    return Event.parse(event.pdu, version)


def _references(found: object, version: RoomVersion) -> dict[str, str]:
    """The ids that a template refers to; in room versions 1 and 2 with their hashes."""
    try:
        if version.has_hash_event_ids:
            return dict.fromkeys(msgspec.convert(found, list[str]), "")
        pairs = msgspec.convert(found, list[tuple[str, dict[str, str]]])
    except msgspec.ValidationError as error:
        raise BadJson(f"References to events: {error}") from None
    return {event_id: hashes.get("sha256", "") for event_id, hashes in pairs}
