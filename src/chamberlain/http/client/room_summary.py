"""`GET /room_summary/{roomIdOrAlias}` (client-server API, Room Summary)."""

import msgspec

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.rooms.shown import RoomSummary


class GetRoomSummary(Request):
    """Which room, and which servers may know it."""

    room_id_or_alias: Path[str]
    via: Query[list[str]] = []


class OwnRoomSummary(RoomSummary, omit_defaults=True, kw_only=True):
    """A room's summary, and what the requester is in the room."""

    membership: str | None = None


@endpoint(
    "GET",
    "/_matrix/client/v1/room_summary/{room_id_or_alias}",
    auth=Auth.OPTIONAL,
    limit=Limit.READ,
    aliases=(
        "/_matrix/client/unstable/im.nheko.summary/summary/{room_id_or_alias}",
        "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    ),
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def get_room_summary(ctx: Context, request: GetRoomSummary) -> OwnRoomSummary:
    """Get what a room tells of itself to those who may join it or look in."""
    requester = ctx.found_requester
    user_id = None if requester is None else requester.user_id
    summary, membership = await ctx.services.rooms.summaries.get(
        request.room_id_or_alias, user_id, request.via
    )
    return OwnRoomSummary(membership=membership, **msgspec.structs.asdict(summary))
