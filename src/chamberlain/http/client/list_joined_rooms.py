"""`GET /joined_rooms` (client-server API, Room membership)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Response, endpoint
from chamberlain.matrix.ids import RoomID


class JoinedRooms(Response):
    """The rooms."""

    joined_rooms: list[RoomID]


@endpoint("GET", "/_matrix/client/v3/joined_rooms", auth=Auth.ACCESS_TOKEN, limit=Limit.READ)
async def get_joined_rooms(ctx: Context) -> JoinedRooms:
    """List the rooms that the requester is joined to."""
    return JoinedRooms(await ctx.services.rooms.membership.joined_rooms(ctx.requester.user_id))
