"""`/user/{userId}/account_data/{type}`, globally and of rooms (client-server API, Client Config)."""

from chamberlain.http.endpoint import Auth, Body, Context, Path, Raw, Request, endpoint
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.ids import parse_room_id
from chamberlain.matrix.types import JsonObject


class GetAccountData(Request):
    """Which account data; an empty room: the global ones."""

    user_id: Path[str]
    type: Path[str]


class PutAccountData(Request):
    """Which account data, and their new content."""

    user_id: Path[str]
    type: Path[str]
    content: Body[JsonObject]


class GetRoomAccountData(Request):
    """Which account data of which room."""

    user_id: Path[str]
    room_id: Path[str]
    type: Path[str]


class PutRoomAccountData(Request):
    """Which account data of which room, and their new content."""

    user_id: Path[str]
    room_id: Path[str]
    type: Path[str]
    content: Body[JsonObject]


@endpoint("PUT", "/_matrix/client/v3/user/{user_id}/account_data/{type}", auth=Auth.ACCESS_TOKEN)
async def set_account_data(ctx: Context, request: PutAccountData) -> None:
    """Keep something for one's clients."""
    check_own(ctx, request.user_id)
    await ctx.services.accounts.account_data.put(request.user_id, "", request.type, request.content)


@endpoint("GET", "/_matrix/client/v3/user/{user_id}/account_data/{type}", auth=Auth.ACCESS_TOKEN)
async def get_account_data(ctx: Context, request: GetAccountData) -> Raw:
    """Read what one's clients keep."""
    check_own(ctx, request.user_id)
    return Raw(await ctx.services.accounts.account_data.get(request.user_id, "", request.type))


@endpoint(
    "PUT", "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/account_data/{type}", auth=Auth.ACCESS_TOKEN
)
async def set_room_account_data(ctx: Context, request: PutRoomAccountData) -> None:
    """Keep something about a room for one's clients."""
    check_own(ctx, request.user_id)
    service = ctx.services.accounts.account_data
    await service.put(request.user_id, parse_room_id(request.room_id), request.type, request.content)


@endpoint(
    "GET", "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/account_data/{type}", auth=Auth.ACCESS_TOKEN
)
async def get_room_account_data(ctx: Context, request: GetRoomAccountData) -> Raw:
    """Read what one's clients keep about a room."""
    check_own(ctx, request.user_id)
    service = ctx.services.accounts.account_data
    return Raw(await service.get(request.user_id, parse_room_id(request.room_id), request.type))


def check_own(ctx: Context, user_id: str) -> None:
    """Return when the user of the path is the one who asks; raises Forbidden."""
    if ctx.requester.user_id != user_id:
        raise Forbidden("You may only do this for yourself")
