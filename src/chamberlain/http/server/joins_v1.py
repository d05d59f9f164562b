"""`make_join`, and `send_join` as old servers call it (server-server API, Joining Rooms)."""

from chamberlain.federation.inbound.resident import Made
from chamberlain.http.answers import Raw
from chamberlain.http.endpoint import Auth, Body, Context, Path, Query, Request, endpoint
from chamberlain.http.server.joins_v2 import SEND_ERRORS, write_joined
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.types import JsonObject

MAKE_ERRORS = (
    ErrCode.FORBIDDEN,
    ErrCode.NOT_FOUND,
    ErrCode.INVALID_PARAM,
    ErrCode.INCOMPATIBLE_ROOM_VERSION,
    ErrCode.UNABLE_TO_AUTHORISE_JOIN,
    ErrCode.UNABLE_TO_GRANT_JOIN,
)
OLDEST = ("1",)
"""The room versions of a server that names none."""


class MakeJoin(Request):
    """Who wants to join where, and the room versions that their server knows."""

    room_id: Path[RoomID]
    user_id: Path[UserID]
    ver: Query[list[str]] = []


@endpoint(
    "GET",
    "/_matrix/federation/v1/make_join/{room_id}/{user_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=MAKE_ERRORS,
)
async def make_join(ctx: Context, request: MakeJoin) -> Made:
    """Give the beginning of a join."""
    resident = ctx.services.federation.memberships.resident
    return await resident.make(ctx.origin, request.room_id, request.user_id, "join", request.ver or OLDEST)


class SendJoin(Request):
    """A join."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    pdu: Body[JsonObject]


@endpoint(
    "PUT",
    "/_matrix/federation/v1/send_join/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=SEND_ERRORS,
)
async def send_join_v1(ctx: Context, request: SendJoin) -> Raw:
    """Have a join in the room; the answer stands behind the status that it has anyhow."""
    resident = ctx.services.federation.memberships.resident
    joined = await resident.join(ctx.origin, request.room_id, request.event_id, request.pdu)
    return Raw(b"[200,%b]" % write_joined(joined))
