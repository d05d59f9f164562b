"""`GET /rooms/{roomId}/threads` (client-server API, Querying threads in a room)."""

from typing import Literal

import msgspec

from chamberlain.http.client.message_pagination import Count, viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import RoomID
from chamberlain.rooms.threads import DEFAULT_LIMIT


class GetThreadRoots(Request):
    """Which threads of a room."""

    room_id: Path[RoomID]
    include: Query[Literal["all", "participated"]] = "all"
    limit: Query[Count] = DEFAULT_LIMIT
    start: Query[str | None] = msgspec.field(default=None, name="from")


@endpoint(
    "GET",
    "/_matrix/client/v1/rooms/{room_id}/threads",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def get_thread_roots(ctx: Context, request: GetThreadRoots) -> Raw:
    """List the roots of a room's threads, those with the newest events first."""
    return Raw(
        await ctx.services.rooms.threads.page(
            viewer_of(ctx),
            request.room_id,
            include=request.include,
            limit=request.limit,
            start=request.start,
        )
    )
