"""`GET /_matrix/federation/v1/user/devices/{userId}` (server-server API, Device Management)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode


class WhoseDevices(Request):
    """A user of this server."""

    user_id: Path[str]


@endpoint(
    "GET",
    "/_matrix/federation/v1/user/devices/{user_id}",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=(ErrCode.NOT_FOUND,),
)
async def list_user_devices(ctx: Context, request: WhoseDevices) -> Raw:
    """List all devices of a user, with their keys, and the user's cross-signing keys."""
    return Raw(await ctx.services.devices.for_servers.devices_of(request.user_id))
