"""`/user/{userId}/rooms/{roomId}/tags` (client-server API, Room Tagging)."""

from chamberlain.http.client.account_data import check_own
from chamberlain.http.endpoint import Auth, Body, Context, Path, Request, Response, endpoint
from chamberlain.matrix.ids import parse_room_id
from chamberlain.matrix.types import JsonObject


class GetTags(Request):
    """Whose tags of which room."""

    user_id: Path[str]
    room_id: Path[str]


class Tags(Response):
    """The tags, each with its properties."""

    tags: JsonObject


@endpoint("GET", "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/tags", auth=Auth.ACCESS_TOKEN)
async def get_tags(ctx: Context, request: GetTags) -> Tags:
    """List one's tags of a room."""
    check_own(ctx, request.user_id)
    room_id = parse_room_id(request.room_id)
    return Tags(await ctx.services.accounts.account_data.tags(request.user_id, room_id))


class PutTag(Request):
    """A tag for a room, with its properties."""

    user_id: Path[str]
    room_id: Path[str]
    tag: Path[str]
    properties: Body[JsonObject]


@endpoint("PUT", "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/tags/{tag}", auth=Auth.ACCESS_TOKEN)
async def set_tag(ctx: Context, request: PutTag) -> None:
    """Tag a room."""
    check_own(ctx, request.user_id)
    room_id = parse_room_id(request.room_id)
    service = ctx.services.accounts.account_data
    await service.put_tag(request.user_id, room_id, request.tag, request.properties)


class DeleteTag(Request):
    """A tag of a room."""

    user_id: Path[str]
    room_id: Path[str]
    tag: Path[str]


@endpoint("DELETE", "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/tags/{tag}", auth=Auth.ACCESS_TOKEN)
async def delete_tag(ctx: Context, request: DeleteTag) -> None:
    """Remove a tag from a room."""
    check_own(ctx, request.user_id)
    room_id = parse_room_id(request.room_id)
    await ctx.services.accounts.account_data.remove_tag(request.user_id, room_id, request.tag)
