"""`POST /_matrix/client/v3/createRoom` (client-server API, Creation)."""

from chamberlain.http.endpoint import Auth, Body, Context, Limit, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.create import RoomOptions


class CreateRoom(Request):
    """The options of a new room."""

    options: Body[RoomOptions]


class Created(Response):
    """The new room."""

    room_id: RoomID


@endpoint(
    "POST",
    "/_matrix/client/v3/createRoom",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.HEAVY,
    errors=(ErrCode.ROOM_IN_USE, ErrCode.INVALID_ROOM_STATE, ErrCode.UNSUPPORTED_ROOM_VERSION),
)
async def create_room(ctx: Context, request: CreateRoom) -> Created:
    """Create a room."""
    ctx.requester.must_not_be_suspended()
    return Created(await ctx.services.rooms.create.create_room(ctx.requester.user_id, request.options))
