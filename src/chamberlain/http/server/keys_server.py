"""The keys with which this server signs (server-server API, Publishing Keys)."""

from chamberlain.http.endpoint import Auth, Context, endpoint
from chamberlain.matrix.server_keys import own_keys
from chamberlain.matrix.types import JsonObject

VALID_MS = 24 * 3_600_000


@endpoint("GET", "/_matrix/key/v2/server", auth=Auth.NONE)
async def get_server_keys(ctx: Context) -> JsonObject:
    """Give the keys of this server, signed by themselves."""
    remotes = ctx.services.federation.remotes
    return own_keys(remotes.server_name, remotes.signing_key, ctx.services.clock.now() + VALID_MS)
