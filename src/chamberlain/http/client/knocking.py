"""`POST /knock/{roomIdOrAlias}` (client-server API, Knocking on rooms)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class KnockRoom(Request):
    """Which room, by id or alias, and why."""

    room_id_or_alias: Path[str]
    via: Query[list[str]] = []
    server_name: Query[list[str]] = []
    reason: str | None = None


class Knocked(Response):
    """The room."""

    room_id: RoomID


@endpoint(
    "POST",
    "/_matrix/client/v3/knock/{room_id_or_alias}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.JOIN,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def knock_room(ctx: Context, request: KnockRoom) -> Knocked:
    """Ask to be let into a room."""
    ctx.requester.must_not_be_suspended()
    room = await ctx.services.rooms.aliases.resolve(request.room_id_or_alias)
    await ctx.services.rooms.membership.knock(
        ctx.requester.user_id,
        room.room_id,
        reason=request.reason,
        servers=(*request.via, *request.server_name, *room.servers),
    )
    return Knocked(RoomID(room.room_id))
