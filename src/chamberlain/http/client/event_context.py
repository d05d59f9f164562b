"""`GET /rooms/{roomId}/context/{eventId}` (client-server API, Event Context)."""

from chamberlain.http.client.message_pagination import Count, filter_of, viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID


class GetEventContext(Request):
    """Which event, and how many others around it."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    limit: Query[Count] = 10
    filter: Query[str | None] = None


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/context/{event_id}",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_event_context(ctx: Context, request: GetEventContext) -> Raw:
    """Get an event with the events around it and the room's state after them."""
    return Raw(
        await ctx.services.rooms.history.context(
            viewer_of(ctx),
            request.room_id,
            request.event_id,
            limit=request.limit,
            filter=filter_of(request.filter),
        )
    )
