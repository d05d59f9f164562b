"""Synapse's paths for the server itself."""

from chamberlain.admin.operations.server import GetVersion, get_version
from chamberlain.http.endpoint import Auth, Context, Response, endpoint
from chamberlain.http.operations import run

FACADE = "synapse"


class Version(Response):
    """The program and its version."""

    server_version: str


@endpoint("GET", "/_synapse/admin/v1/server_version", auth=Auth.NONE)
async def read_version(ctx: Context) -> Version:
    """Tell which version of the server runs."""
    found = await run(ctx, get_version, GetVersion(), facade=FACADE)
    return Version(found.server_version)
