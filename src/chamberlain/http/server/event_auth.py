"""`GET /event_auth/{roomId}/{eventId}` (server-server API, Retrieving event authorisation information)."""

from chamberlain.http.endpoint import Auth, Context, Path, Request, Stream, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class GetEventAuth(Request):
    """Which event of which room."""

    room_id: Path[RoomID]
    event_id: Path[str]


@endpoint(
    "GET",
    "/_matrix/federation/v1/event_auth/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_event_auth(ctx: Context, request: GetEventAuth) -> Stream:
    """Get what the auth events of an event go back to."""
    reading = ctx.services.federation.room_reading
    chunks = await reading.auth_chain(ctx.origin, request.room_id, request.event_id)
    return Stream(chunks, "application/json")
