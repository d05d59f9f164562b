"""`/backfill` and `/get_missing_events` (server-server API, Backfilling and retrieving missing events)."""

from chamberlain.federation.room_reading import Missing
from chamberlain.http.endpoint import Auth, Context, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class BackfillRoom(Request):
    """From which events on, and how many at most, these included."""

    room_id: Path[RoomID]
    v: Query[list[str]]
    limit: Query[int]


class GetMissingPreviousEvents(Request):
    """Which events the server has on both sides of those that it misses."""

    room_id: Path[RoomID]
    earliest_events: list[str] = []
    latest_events: list[str] = []
    limit: int = 10
    min_depth: int = 0


@endpoint(
    "GET",
    "/_matrix/federation/v1/backfill/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def backfill_room(ctx: Context, request: BackfillRoom) -> Raw:
    """Get events and what came before them, the newest first; 100 at most."""
    reading = ctx.services.federation.room_reading
    return Raw(await reading.backfill(ctx.origin, request.room_id, set(request.v), request.limit))


@endpoint(
    "POST",
    "/_matrix/federation/v1/get_missing_events/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_missing_previous_events(ctx: Context, request: GetMissingPreviousEvents) -> Raw:
    """Get the events before some and after others, the oldest first; 100 at most."""
    missing = Missing(
        earliest=set(request.earliest_events),
        latest=set(request.latest_events),
        limit=request.limit,
        min_depth=request.min_depth,
    )
    reading = ctx.services.federation.room_reading
    return Raw(await reading.missing(ctx.origin, request.room_id, missing))
