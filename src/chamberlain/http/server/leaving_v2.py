"""`send_leave` (server-server API, Leaving Rooms)."""

from chamberlain.http.endpoint import Auth, Context, endpoint
from chamberlain.http.server.leaving_v1 import ERRORS, SendLeave


@endpoint(
    "PUT",
    "/_matrix/federation/v2/send_leave/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=ERRORS,
)
async def send_leave(ctx: Context, request: SendLeave) -> None:
    """Have a leave in the room: an invitation is rejected, a knock retracted."""
    resident = ctx.services.federation.memberships.resident
    await resident.leave(ctx.origin, request.room_id, request.event_id, request.pdu)
