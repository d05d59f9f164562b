"""What the server is."""

import msgspec

from chamberlain import __version__
from chamberlain.admin.operation import OperationContext, Route, Scope, operation


class GetVersion(msgspec.Struct, frozen=True):
    """Nothing to say."""


class Version(msgspec.Struct, frozen=True):
    """The program and its version."""

    server_version: str


@operation("server.version", Scope.NONE, route=Route("GET", "/server_version"))
async def get_version(ctx: OperationContext, request: GetVersion) -> Version:
    """Tell which version of the server runs."""
    return Version(f"chamberlain {__version__}")
