"""`PUT /_matrix/federation/v2/invite/{roomId}/{eventId}` (server-server API, Inviting to a room)."""

from chamberlain.http.answers import Raw
from chamberlain.http.endpoint import Auth, Context, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject

ERRORS = (
    ErrCode.FORBIDDEN,
    ErrCode.INVALID_PARAM,
    ErrCode.INVITE_BLOCKED,
    ErrCode.INCOMPATIBLE_ROOM_VERSION,
)


class Invite(Request):
    """An invite, and what may be shown of the room."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    room_version: str
    event: JsonObject
    invite_room_state: list[JsonObject] = []


@endpoint(
    "PUT",
    "/_matrix/federation/v2/invite/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=ERRORS,
)
async def send_invite(ctx: Context, request: Invite) -> Raw:
    """Invite a user of this server; the invite comes back with its signature."""
    signed = await ctx.services.federation.memberships.invitations.take(
        ctx.origin,
        request.room_id,
        request.event_id,
        request.room_version,
        request.event,
        request.invite_room_state,
    )
    return Raw(b'{"event":%b}' % signed.pdu)
