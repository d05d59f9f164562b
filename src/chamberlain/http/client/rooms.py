"""Reading a room's state and members (client-server API, Getting events for a room)."""

from typing import Literal

from chamberlain.http.client.message_pagination import viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.ids import EventID, RoomID


class GetRoomState(Request):
    """Which room."""

    room_id: Path[RoomID]


class GetStateEvent(Request):
    """Which piece of state."""

    room_id: Path[RoomID]
    event_type: Path[str]
    state_key: Path[str] = ""
    format: Query[Literal["content", "event"]] = "content"


class GetMembers(Request):
    """Which members, and when."""

    room_id: Path[RoomID]
    at: Query[str | None] = None
    membership: Query[Literal["join", "invite", "knock", "leave", "ban"] | None] = None
    not_membership: Query[Literal["join", "invite", "knock", "leave", "ban"] | None] = None


class GetRoomEvent(Request):
    """Which event."""

    room_id: Path[RoomID]
    event_id: Path[EventID]


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/state",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN,),
)
async def get_room_state(ctx: Context, request: GetRoomState) -> Raw:
    """Get all state events of a room."""
    return Raw(await ctx.services.rooms.reading.state(ctx.requester.user_id, request.room_id))


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    aliases=("/_matrix/client/v3/rooms/{room_id}/state/{event_type}",),
    errors=(ErrCode.FORBIDDEN, ErrCode.NOT_FOUND),
)
async def get_room_state_with_key(ctx: Context, request: GetStateEvent) -> Raw:
    """Get one piece of a room's state."""
    reading = ctx.services.rooms.reading
    get = reading.state_event if request.format == "event" else reading.state_content
    return Raw(await get(ctx.requester.user_id, request.room_id, request.event_type, request.state_key))


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/event/{event_id}",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.NOT_FOUND,),
)
async def get_one_room_event(ctx: Context, request: GetRoomEvent) -> Raw:
    """Get one event of a room."""
    return Raw(await ctx.services.rooms.history.event(viewer_of(ctx), request.room_id, request.event_id))


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/members",
    auth=Auth.GUEST_OK,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def get_members_by_room(ctx: Context, request: GetMembers) -> Raw:
    """Get the member events of a room."""
    chunk = await ctx.services.rooms.reading.members(
        ctx.requester.user_id,
        request.room_id,
        at=request.at,
        membership=request.membership,
        not_membership=request.not_membership,
    )
    return Raw(b'{"chunk":%b}' % chunk)


@endpoint(
    "GET",
    "/_matrix/client/v3/rooms/{room_id}/joined_members",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.READ,
    errors=(ErrCode.FORBIDDEN,),
)
async def get_joined_members_by_room(ctx: Context, request: GetRoomState) -> Raw:
    """Get who is joined to a room, with their names and avatars."""
    joined = await ctx.services.rooms.reading.joined_members(ctx.requester.user_id, request.room_id)
    return Raw(b'{"joined":%b}' % joined)
