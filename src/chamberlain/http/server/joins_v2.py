"""`send_join` (server-server API, Joining Rooms)."""

import orjson

from chamberlain.federation.inbound.resident import Joined
from chamberlain.http.answers import Raw
from chamberlain.http.endpoint import Auth, Body, Context, Path, Query, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject

SEND_ERRORS = (
    ErrCode.FORBIDDEN,
    ErrCode.NOT_FOUND,
    ErrCode.INVALID_PARAM,
    ErrCode.UNABLE_TO_AUTHORISE_JOIN,
    ErrCode.UNABLE_TO_GRANT_JOIN,
)


class SendJoin(Request):
    """A join, and whether the answer may do without the members of the room."""

    room_id: Path[RoomID]
    event_id: Path[EventID]
    omit_members: Query[bool] = False
    pdu: Body[JsonObject]


@endpoint(
    "PUT",
    "/_matrix/federation/v2/send_join/{room_id}/{event_id}",
    auth=Auth.SIGNED_REQUEST,
    errors=SEND_ERRORS,
)
async def send_join(ctx: Context, request: SendJoin) -> Raw:
    """Have a join in the room, and tell its server what the room is."""
    joined = await ctx.services.federation.memberships.resident.join(
        ctx.origin,
        request.room_id,
        request.event_id,
        request.pdu,
        omit_members=request.omit_members,
    )
    return Raw(write_joined(joined))


def write_joined(joined: Joined) -> bytes:
    """The JSON of what a server that has joined is told."""
    return b'{"auth_chain":[%b],"event":%b,"members_omitted":%b,"servers_in_room":%b,"state":[%b]}' % (
        b",".join(joined.told.auth_chain),
        joined.event.pdu,
        b"true" if joined.members_omitted else b"false",
        orjson.dumps(joined.servers),
        b",".join(joined.told.state),
    )
