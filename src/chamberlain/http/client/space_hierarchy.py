"""`GET /rooms/{roomId}/hierarchy` (client-server API, Spaces)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.shown import HierarchyRoom
from chamberlain.rooms.space_walk import View


class GetSpaceHierarchy(Request):
    """Which space, how deep, and which part."""

    room_id: Path[RoomID]
    suggested_only: Query[bool] = False
    limit: Query[int | None] = None
    max_depth: Query[int | None] = None
    start: Query[str | None] = msgspec.field(name="from", default=None)


class SpaceHierarchy(Response):
    """A part of the tree, depth first."""

    rooms: list[HierarchyRoom]
    next_batch: str | None = None


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/hierarchy",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def get_space_hierarchy(ctx: Context, request: GetSpaceHierarchy) -> SpaceHierarchy:
    """Get a part of the tree of a space."""
    rooms, next_batch = await ctx.services.rooms.spaces.hierarchy(
        ctx.requester.user_id,
        request.room_id,
        View(request.max_depth, request.suggested_only),
        limit=request.limit,
        start=request.start,
    )
    return SpaceHierarchy(rooms, next_batch)
