"""`/event`, `/state`, `/state_ids`, `/timestamp_to_event` (server-server API, Retrieving events)."""

from typing import Literal

from chamberlain.http.endpoint import Auth, Context, Path, Query, Raw, Request, Response, Stream, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import Millis


class GetEvent(Request):
    """Which event."""

    event_id: Path[str]


class GetRoomState(Request):
    """Which room, and before which of its events."""

    room_id: Path[RoomID]
    event_id: Query[str]


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
    "/_matrix/federation/v1/event/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_event(ctx: Context, request: GetEvent) -> Raw:
    """Get one event of a room that the asking server is in."""
    reading = ctx.services.federation.room_reading
    return Raw(await reading.event(ctx.origin, request.event_id))


@endpoint(
    "GET",
    "/_matrix/federation/v1/state/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_room_state(ctx: Context, request: GetRoomState) -> Stream:
    """Get the state of a room before an event, and its auth chain."""
    reading = ctx.services.federation.room_reading
    chunks = await reading.state(ctx.origin, request.room_id, request.event_id)
    return Stream(chunks, "application/json")


@endpoint(
    "GET",
    "/_matrix/federation/v1/state_ids/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_room_state_ids(ctx: Context, request: GetRoomState) -> Raw:
    """Get the ids of the state of a room before an event, and of its auth chain."""
    reading = ctx.services.federation.room_reading
    return Raw(await reading.state_ids(ctx.origin, request.room_id, request.event_id))


@endpoint(
    "GET",
    "/_matrix/federation/v1/timestamp_to_event/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_event_by_timestamp(ctx: Context, request: GetEventByTimestamp) -> NearestEvent:
    """Find the event nearest to a time."""
    reading = ctx.services.federation.room_reading
    event_id, ts = await reading.nearest(ctx.origin, request.room_id, request.ts, request.dir)
    return NearestEvent(EventID(event_id), Millis(ts))
