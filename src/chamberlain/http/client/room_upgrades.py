"""`POST /rooms/{roomId}/upgrade` (client-server API, Room Upgrades)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID


class UpgradeRoom(Request):
    """Which room, its new version, and who is to be a creator beside the requester."""

    room_id: Path[RoomID]
    new_version: str
    additional_creators: list[str] = []


class Upgraded(Response):
    """The new room."""

    replacement_room: RoomID


@endpoint(
    "POST",
    "/_matrix/client/v3/rooms/{room_id}/upgrade",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.HEAVY,
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND, ErrCode.UNSUPPORTED_ROOM_VERSION, ErrCode.INVALID_PARAM),
)
async def upgrade_room(ctx: Context, request: UpgradeRoom) -> Upgraded:
    """Replace a room by one of another version."""
    ctx.requester.must_not_be_suspended()
    new_room = await ctx.services.rooms.upgrade.upgrade(
        ctx.requester.user_id, request.room_id, request.new_version, request.additional_creators
    )
    return Upgraded(new_room)
