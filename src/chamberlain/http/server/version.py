"""Which software a server runs (server-server API, Server implementation)."""

from chamberlain import __version__
from chamberlain.http.endpoint import Auth, Context, Response, endpoint


class Implementation(Response):
    """The software's name and version."""

    name: str
    version: str


class ServerVersion(Response):
    """What the server runs."""

    server: Implementation


@endpoint("GET", "/_matrix/federation/v1/version", auth=Auth.NONE)
async def get_version(ctx: Context) -> ServerVersion:
    """Say which software this server runs."""
    return ServerVersion(Implementation("chamberlain", __version__))
