"""`POST /_matrix/federation/v1/user/keys/…`: keys of this server's users (server-server API, End-to-End Encryption)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode


class QueryUserKeys(Request):
    """Devices by user; an empty list stands for all."""

    device_keys: dict[str, list[str]]


class ClaimUserKeys(Request):
    """An algorithm by user and device."""

    one_time_keys: dict[str, dict[str, str]]


@endpoint(
    "POST",
    "/_matrix/federation/v1/user/keys/query",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=(ErrCode.INVALID_PARAM,),
)
async def query_user_keys(ctx: Context, request: QueryUserKeys) -> Raw:
    """Get the devices and identity keys of this server's users."""
    return Raw(await ctx.services.devices.for_servers.query(request.device_keys))


@endpoint(
    "POST",
    "/_matrix/federation/v1/user/keys/claim",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=(ErrCode.INVALID_PARAM,),
)
async def claim_user_keys(ctx: Context, request: ClaimUserKeys) -> Raw:
    """Claim one-time keys of devices of this server's users."""
    return Raw(await ctx.services.devices.for_servers.claim(request.one_time_keys))
