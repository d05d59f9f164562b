"""`PUT /rooms/{roomId}/typing/{userId}` (client-server API, Typing Notifications)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.ids import RoomID, UserID
from chamberlain.rooms.joined import must_be_joined
from chamberlain.rooms.typing import DEFAULT_MS


class SetTyping(Request):
    """Whether the user types, and for how many ms that holds."""

    room_id: Path[RoomID]
    user_id: Path[UserID]
    typing: bool
    timeout: int = DEFAULT_MS


@endpoint(
    "PUT",
    "/_matrix/client/v3/rooms/{room_id}/typing/{user_id}",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.WRITE,
    errors=(ErrCode.FORBIDDEN,),
)
async def set_typing(ctx: Context, request: SetTyping) -> None:
    """Tell the room that one is typing, or no longer."""
    if request.user_id != ctx.requester.user_id:
        raise Forbidden("You can only say of yourself that you are typing")
    rooms = ctx.services.rooms
    await must_be_joined(rooms.heads, request.room_id, request.user_id)
    if request.typing:
        rooms.typing.start(request.room_id, request.user_id, request.timeout)
    else:
        rooms.typing.stop(request.room_id, request.user_id)
