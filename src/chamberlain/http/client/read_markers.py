"""`POST /rooms/{roomId}/read_markers` (client-server API, Fully read markers)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID


class SetReadMarker(Request):
    """The events that markers move to."""

    room_id: Path[RoomID]
    fully_read: EventID | None = msgspec.field(name="m.fully_read", default=None)
    read: EventID | None = msgspec.field(name="m.read", default=None)
    read_private: EventID | None = msgspec.field(name="m.read.private", default=None)


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/read_markers",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def set_read_marker(ctx: Context, request: SetReadMarker) -> None:
    """Move the fully-read marker, and receipts with it."""
    for kind, event_id in (
        ("m.fully_read", request.fully_read),
        ("m.read", request.read),
        ("m.read.private", request.read_private),
    ):
        if event_id is not None:
            await ctx.services.rooms.receipts.put(ctx.requester.user_id, request.room_id, kind, event_id)
