"""`/query/…`: profiles and aliases of this server (server-server API, Querying for information)."""

from collections.abc import Mapping, Sequence

import msgspec

from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import NotFound


class QueryInfo(Request):
    """What is asked."""

    query_type: Path[str]


class QueryProfile(Request):
    """Whose profile, and which field of it; None for all."""

    user_id: Query[str]
    field: Query[str | None] = None


class QueryDirectory(Request):
    """Which alias."""

    room_alias: Query[str]


class AliasedRoom(Response):
    """The room that an alias names, and servers that are in it."""

    room_id: str
    servers: Sequence[str]


@endpoint(
    "GET",
    "/_matrix/federation/v1/query/{query_type}",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.NOT_FOUND,),
)
async def query_info(ctx: Context, request: QueryInfo) -> None:
    """Say that there is no such query; those that there are have endpoints of their own."""
    raise NotFound(f"There is no query of the type {request.query_type}")


@endpoint(
    "GET",
    "/_matrix/federation/v1/query/profile",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def query_profile(ctx: Context, request: QueryProfile) -> Mapping[str, msgspec.Raw]:
    """Get the profile of a user of this server, or one field of it."""
    return await ctx.services.accounts.profiles.for_servers(request.user_id, request.field)


@endpoint(
    "GET",
    "/_matrix/federation/v1/query/directory",
    auth=Auth.SIGNED_REQUEST,
    errors=(ErrCode.INVALID_PARAM, ErrCode.NOT_FOUND),
)
async def query_room_directory(ctx: Context, request: QueryDirectory) -> AliasedRoom:
    """Get the room that an alias of this server names."""
    found = await ctx.services.rooms.aliases.find_local(request.room_alias)
    return AliasedRoom(found.room_id, found.servers)
