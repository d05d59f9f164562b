"""`/publicRooms` (server-server API, Published Room Directory)."""

from chamberlain.http.client.list_public_rooms import (
    PublicRooms,
    SearchPublicRooms,
    answer,
    query_of,
)
from chamberlain.http.endpoint import Auth, Context, Query, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden
from chamberlain.rooms.shown import DirectoryQuery


class GetPublicRooms(Request):
    """Which part of the directory."""

    limit: Query[int | None] = None
    since: Query[str | None] = None
    include_all_networks: Query[bool] = False
    third_party_instance_id: Query[str | None] = None


@endpoint(
    "GET",
    "/_matrix/federation/v1/publicRooms",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def get_public_rooms(ctx: Context, request: GetPublicRooms) -> PublicRooms:
    """Get a part of this server's list of public rooms, where the settings let other servers read it."""
    query = DirectoryQuery(
        limit=request.limit,
        since=request.since,
        network=request.third_party_instance_id,
        all_networks=request.include_all_networks,
    )
    return await _list(ctx, query)


@endpoint(
    "POST",
    "/_matrix/federation/v1/publicRooms",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def query_public_rooms(ctx: Context, request: SearchPublicRooms) -> PublicRooms:
    """Search this server's list of public rooms, where the settings let other servers read it."""
    return await _list(ctx, query_of(request))


async def _list(ctx: Context, query: DirectoryQuery) -> PublicRooms:
    if not ctx.services.config.directory.over_federation:
        raise Forbidden("This server does not show its list of public rooms to others")
    return answer(await ctx.services.rooms.directory.list_public(query, for_server=True))
