"""`PUT /_matrix/federation/v1/invite/{roomId}/{eventId}`, as old servers call it (server-server API, Inviting)."""

import msgspec

from chamberlain.http.answers import Raw
from chamberlain.http.endpoint import Auth, Body, Context, Path, Request, endpoint
from chamberlain.http.server.invites_v2 import ERRORS
from chamberlain.matrix.errors import BadJson
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import V1


class Invite(Request):
    """An invite; in its `unsigned` stands what may be shown of the room."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    event: Body[JsonObject]


class Unsigned(msgspec.Struct):
    """What of `unsigned` is looked at."""

    invite_room_state: list[JsonObject] = []


@endpoint(
    "PUT",
    "/_matrix/federation/v1/invite/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=ERRORS,
)
async def send_invite_v1(ctx: Context, request: Invite) -> Raw:
    """Invite a user of this server to a room of the oldest versions; the invite comes back with its signature."""
    try:
        unsigned = msgspec.convert(request.event.get("unsigned", {}), Unsigned)
    except msgspec.ValidationError as error:
        raise BadJson(f"unsigned: {error}") from None
    # An invite of room version 2 looks the same, and is signed the same.
    signed = await ctx.services.federation.memberships.invitations.take(
        ctx.origin, request.room_id, request.event_id, V1.id, request.event, unsigned.invite_room_state
    )
    return Raw(b'[200,{"event":%b}]' % signed.pdu)
