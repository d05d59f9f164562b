"""The keys with which this server signs (server-server API, Publishing Keys)."""

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden


@endpoint("GET", "/_matrix/key/v2/server", auth=Auth.NONE, limit=Limit.REMOTE, errors=(ErrCode.FORBIDDEN,))
async def get_server_keys(ctx: Context) -> Raw:
    """Give the keys of this server, the old ones too, signed by themselves."""
    check_open(ctx)
    return Raw(ctx.services.federation.remotes.own_keys.answer())


def check_open(ctx: Context) -> None:
    """Do nothing where there is federation; raises Forbidden where the settings say that there is none."""
    if not ctx.services.federation.remotes.gate.is_open:
        raise Forbidden("This server does not talk to others")


class GetServerKey(Request):
    """The key that is asked for, which changes nothing."""

    key_id: Path[str]


@endpoint(
    "GET", "/_matrix/key/v2/server/{key_id}", auth=Auth.NONE, limit=Limit.REMOTE, errors=(ErrCode.FORBIDDEN,)
)
async def get_server_key(ctx: Context, request: GetServerKey) -> Raw:
    """Give the keys of this server, as servers of long ago ask for them."""
    return await get_server_keys(ctx)
