"""`GET /mutual_rooms` (client-server API, Mutual Rooms)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class GetMutualRooms(Request):
    """With whom, and where to go on."""

    user_id: Query[str]
    start: Query[str | None] = msgspec.field(default=None, name="from")


class MutualRooms(Response):
    """A part of the rooms to which both are joined, and how many those are altogether."""

    joined: list[RoomID]
    count: int
    next_batch: str | None = None


@endpoint(
    "GET",
    "/_matrix/client/v1/mutual_rooms",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.INVALID_PARAM,),
)
async def get_mutual_rooms(ctx: Context, request: GetMutualRooms) -> MutualRooms:
    """List the rooms to which the requester and another user are joined."""
    found = await ctx.services.rooms.mutual.page(ctx.requester.user_id, request.user_id, request.start)
    return MutualRooms(found.rooms, found.count, found.more)
