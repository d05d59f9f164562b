"""`GET /rooms/{roomId}/timestamp_to_event` (client-server API, Getting events for a room)."""

from typing import Literal

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import Millis


class GetEventByTimestamp(Request):
    """Which time (ms), and on which side of it."""

    room_id: Path[RoomID]
    ts: Query[int]
    dir: Query[Literal["f", "b"]]


class NearestEvent(Response):
    """The event nearest to the time."""

    event_id: EventID
    origin_server_ts: Millis


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/timestamp_to_event",
    auth=Auth.GUEST_OK,
    limit=Limit.HEAVY,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_event_by_timestamp(ctx: Context, request: GetEventByTimestamp) -> NearestEvent:
    """Find the event nearest to a time."""
    event_id, ts = await ctx.services.rooms.by_time.nearest(
        ctx.requester.user_id, request.room_id, request.ts, request.dir
    )
    return NearestEvent(EventID(event_id), Millis(ts))
