"""`GET /rooms/{roomId}/messages` (client-server API, Getting events for a room)."""

from typing import Annotated, Literal

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.filters import RoomEventFilter, parse_room_event_filter
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms import history
from chamberlain.rooms.serialize import Viewer

Count = Annotated[int, msgspec.Meta(ge=0)]


class GetMessages(Request):
    """Which part of a room's history; `from` and `to` are tokens of this endpoint or of /sync."""

    room_id: Path[RoomID]
    dir: Query[Literal["b", "f"]]
    start: Query[str | None] = msgspec.field(default=None, name="from")
    to: Query[str | None] = None
    limit: Query[Count] = 10
    filter: Query[str | None] = None


def viewer_of(ctx: Context) -> Viewer:
    """The requester as one for whom events are written."""
    return Viewer(ctx.requester.user_id, ctx.requester.txn_scope)


def filter_of(text: str | None) -> RoomEventFilter:
    """The filter of a query string; without one everything is wanted."""
    return RoomEventFilter() if not text else parse_room_event_filter(text)


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/messages",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def get_room_events(ctx: Context, request: GetMessages) -> Raw:
    """Page through a room's history."""
    query = history.Query(
        backwards=request.dir == "b",
        limit=request.limit,
        start=request.start,
        stop=request.to,
        filter=filter_of(request.filter),
    )
    return Raw(await ctx.services.rooms.history.messages(viewer_of(ctx), request.room_id, query))
