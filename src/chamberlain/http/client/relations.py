"""`GET /rooms/{roomId}/relations/{eventId}` (client-server API, Relationships API)."""

from typing import Literal

import msgspec

from chamberlain.http.client.message_pagination import Count, viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.rooms.relations import DEFAULT_LIMIT, RelationsQuery


class GetRelations(Request):
    """Which event, and which part of what relates to it."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    start: Query[str | None] = msgspec.field(default=None, name="from")
    to: Query[str | None] = None
    limit: Query[Count] = DEFAULT_LIMIT
    dir: Query[Literal["b", "f"]] = "b"
    recurse: Query[bool | None] = None


class GetRelationsOfKind(GetRelations):
    """The same, for one kind of relation."""

    rel_type: Path[str]


class GetRelationsOfType(GetRelationsOfKind):
    """The same, for one kind of relation and one event type."""

    event_type: Path[str]


async def _children(
    ctx: Context, request: GetRelations, rel_type: str | None = None, event_type: str | None = None
) -> Raw:
    query = RelationsQuery(
        rel_type=rel_type,
        event_type=event_type,
        start=request.start,
        stop=request.to,
        limit=request.limit,
        backwards=request.dir == "b",
        recurse=request.recurse,
    )
    return Raw(
        await ctx.services.rooms.relations.children(viewer_of(ctx), request.room_id, request.event_id, query)
    )


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/relations/{event_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def get_relating_events(ctx: Context, request: GetRelations) -> Raw:
    """Get the events that relate to an event."""
    return await _children(ctx, request)


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/relations/{event_id}/{rel_type}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def get_relating_events_with_rel_type(ctx: Context, request: GetRelationsOfKind) -> Raw:
    """Get the events that relate to an event in one way."""
    return await _children(ctx, request, request.rel_type)


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/relations/{event_id}/{rel_type}/{event_type}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def get_relating_events_with_rel_type_and_event_type(ctx: Context, request: GetRelationsOfType) -> Raw:
    """Get the events of one type that relate to an event in one way."""
    return await _children(ctx, request, request.rel_type, request.event_type)
