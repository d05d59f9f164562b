"""`GET /events`, `GET /events/{eventId}` and `GET /initialSync` (client-server API, Syncing, Room previews)."""

from typing import Annotated

import msgspec

from chamberlain.http.client.message_pagination import viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.rooms.initial_sync import EVENTS

Count = Annotated[int, msgspec.Meta(ge=0)]


class GetEvents(Request):
    """From where on, how long to wait (ms), and of which room alone."""

    start: Query[str | None] = msgspec.field(default=None, name="from")
    timeout: Query[int] = 0
    room_id: Query[RoomID | None] = None


@endpoint(
    "GET",
    "/_matrix/client/v3/events",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM, ErrCode.FORBIDDEN, ErrCode.GUEST_ACCESS_FORBIDDEN),
    long_poll=True,
)
async def get_events(ctx: Context, request: GetEvents) -> Raw:
    """Hear of news as one list of events: of all rooms of the requester, or of one that they may look into."""
    sync, start = ctx.services.sync, request.start or None
    if request.room_id is not None:
        return Raw(await sync.peeking.events(viewer_of(ctx), request.room_id, start, request.timeout))
    if ctx.requester.is_guest:
        raise MatrixError(ErrCode.GUEST_ACCESS_FORBIDDEN, "Guests follow one room at a time")
    return Raw(await sync.event_stream.next(ctx.requester, start, request.timeout))


class GetInitialSync(Request):
    """How many events of each room, and whether of those that the user has left too."""

    limit: Query[Count] = EVENTS
    archived: Query[bool] = False


@endpoint("GET", "/_matrix/client/v3/initialSync", auth=Auth.ACCESS_TOKEN, limit=Limit.HEAVY)
async def initial_sync(ctx: Context, request: GetInitialSync) -> Raw:
    """Get all rooms of the requester with their state and their newest events."""
    stream = ctx.services.sync.event_stream
    return Raw(await stream.everything(ctx.requester, request.limit, archived=request.archived))


class GetOneEvent(Request):
    """Which event."""

    event_id: Path[EventID]


@endpoint(
    "GET",
    "/_matrix/client/v3/events/{event_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND,),
)
async def get_one_event(ctx: Context, request: GetOneEvent) -> Raw:
    """Get one event by its id."""
    return Raw(await ctx.services.rooms.history.event_anywhere(viewer_of(ctx), request.event_id))
