"""The keys of other servers (server-server API, Querying Keys Through Another Server)."""

import msgspec

from chamberlain.federation.notary import Wanted
from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Response, endpoint
from chamberlain.http.server.keys_server import check_open
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.types import JsonObject

MOST_SERVERS = 1000


class Found(Response):
    """What servers have said of their keys, signed by them and by this server."""

    server_keys: list[JsonObject]


class QueryKeys(Request):
    """A server, and until when (ms) its keys should be valid; without that, now."""

    server_name: Path[str]
    minimum_valid_until_ts: Query[int | None] = None


@endpoint(
    "GET",
    "/_matrix/key/v2/query/{server_name}",
    auth=Auth.NONE,
    limit=Limit.REMOTE,
    errors=(ErrCode.FORBIDDEN,),
)
async def query_keys(ctx: Context, request: QueryKeys) -> Found:
    """Give the keys of a server."""
    check_open(ctx)
    notary = ctx.services.federation.remotes.notary
    return Found(await notary.find({request.server_name: Wanted(request.minimum_valid_until_ts)}))


class QueryKey(Request):
    """A server and a key of it, which changes nothing."""

    server_name: Path[str]
    key_id: Path[str]
    minimum_valid_until_ts: Query[int | None] = None


@endpoint(
    "GET",
    "/_matrix/key/v2/query/{server_name}/{key_id}",
    auth=Auth.NONE,
    limit=Limit.REMOTE,
    errors=(ErrCode.FORBIDDEN,),
)
async def query_key(ctx: Context, request: QueryKey) -> Found:
    """Give the keys of a server, as servers of long ago ask for them."""
    check_open(ctx)
    notary = ctx.services.federation.remotes.notary
    return Found(await notary.find({request.server_name: Wanted(request.minimum_valid_until_ts)}))


class Criteria(msgspec.Struct):
    """What is wanted of a key."""

    minimum_valid_until_ts: int | None = None


class QueryManyKeys(Request):
    """By server, by key id; no key ids: all keys."""

    server_keys: dict[str, dict[str, Criteria]]


@endpoint(
    "POST",
    "/_matrix/key/v2/query",
    auth=Auth.NONE,
    limit=Limit.REMOTE,
    errors=(ErrCode.FORBIDDEN, ErrCode.INVALID_PARAM),
)
async def query_many_keys(ctx: Context, request: QueryManyKeys) -> Found:
    """Give the keys of several servers, at most a thousand."""
    check_open(ctx)
    if len(request.server_keys) > MOST_SERVERS:
        raise InvalidParam(f"Keys of more than {MOST_SERVERS} servers cannot be asked for at once")
    wanted = {server: _wanted(keys) for server, keys in request.server_keys.items()}
    return Found(await ctx.services.federation.remotes.notary.find(wanted))


def _wanted(keys: dict[str, Criteria]) -> Wanted:
    times = (key.minimum_valid_until_ts for key in keys.values() if key.minimum_valid_until_ts)
    return Wanted(max(times, default=None), keys.keys())
