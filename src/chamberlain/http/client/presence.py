"""`/presence/{userId}/status` (client-server API, Presence)."""

from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.ids import UserID
from chamberlain.sync.present import UNKNOWN, State


class WhosePresence(Request):
    """A user."""

    user_id: Path[UserID]


class SetPresence(Request):
    """What the requester is, and what they say about it."""

    user_id: Path[UserID]
    presence: State
    status_msg: str | None = None


class PresenceAnswer(Response):
    """The presence of a user; `last_active_ago` in ms."""

    presence: str
    last_active_ago: int | None = None
    currently_active: bool | None = None
    status_msg: str | None = None


@endpoint(
    "PUT",
    "/_matrix/client/v3/presence/{user_id}/status",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def set_presence(ctx: Context, request: SetPresence) -> None:
    """Set the requester's presence."""
    if request.user_id != ctx.requester.user_id:
        raise Forbidden("You can set no presence but your own")
    await ctx.services.sync.presence.set(request.user_id, request.presence, request.status_msg)


@endpoint(
    "GET",
    "/_matrix/client/v3/presence/{user_id}/status",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.FORBIDDEN,),
)
async def get_presence(ctx: Context, request: WhosePresence) -> PresenceAnswer:
    """Get the presence of a user who shares a room with the requester."""
    presences = ctx.services.sync.presence
    if not await presences.shares_room(ctx.requester.user_id, request.user_id):
        raise Forbidden("You share no room with this user")
    found = presences.find(request.user_id) or UNKNOWN
    return PresenceAnswer(**found.content(ctx.services.clock.now()))
