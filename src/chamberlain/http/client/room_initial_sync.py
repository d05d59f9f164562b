"""`GET /rooms/{roomId}/initialSync` (client-server API, Room Previews)."""

from chamberlain.http.client.message_pagination import viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class RoomInitialSync(Request):
    """Which room."""

    room_id: Path[RoomID]


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/initialSync",
    auth=Auth.GUEST_OK,
    limit=Limit.HEAVY,
    errors=(ErrCode.FORBIDDEN,),
)
async def room_initial_sync(ctx: Context, request: RoomInitialSync) -> Raw:
    """Get a room's state and its newest events at once."""
    return Raw(await ctx.services.rooms.initial_sync.room(viewer_of(ctx), request.room_id))
