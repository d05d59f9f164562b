"""`GET /hierarchy/{roomId}` (server-server API, Spaces)."""

from collections.abc import Sequence

from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.shown import HierarchyRoom, RoomSummary


class GetSpaceHierarchy(Request):
    """Which space, and whether only rooms that it suggests."""

    room_id: Path[RoomID]
    suggested_only: Query[bool] = False


class SpaceHierarchy(Response):
    """A room and its children; `inaccessible_children` are those that the asking server may not know of."""

    room: HierarchyRoom
    children: Sequence[RoomSummary]
    inaccessible_children: Sequence[str]


@endpoint(
    "GET",
    "/_matrix/federation/v1/hierarchy/{room_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.NOT_FOUND,),
)
async def get_space_hierarchy(ctx: Context, request: GetSpaceHierarchy) -> SpaceHierarchy:
    """Get a room and its children, as far as the asking server may know of them."""
    found = await ctx.services.rooms.spaces.for_server(
        ctx.origin, request.room_id, suggested_only=request.suggested_only
    )
    return SpaceHierarchy(found.room, list(found.children.values()), sorted(found.inaccessible))
