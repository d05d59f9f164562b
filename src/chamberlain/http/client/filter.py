"""`/user/{userId}/filter` (client-server API, Filtering)."""

from chamberlain.http.client.account_data import check_own
from chamberlain.http.endpoint import Auth, Body, Context, Path, Request, Response, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.types import JsonObject


class AddFilter(Request):
    """A filter to keep."""

    user_id: Path[str]
    definition: Body[JsonObject]


class Added(Response):
    """Its name from now on."""

    filter_id: str


@endpoint("POST", "/_matrix/client/v3/user/{user_id}/filter", auth=Auth.GUEST_OK, errors=(ErrCode.TOO_LARGE,))
async def add_filter(ctx: Context, request: AddFilter) -> Added:
    """Keep a filter, to name it by its id."""
    check_own(ctx, request.user_id)
    return Added(await ctx.services.accounts.filters.add(request.user_id, request.definition))


class GetFilter(Request):
    """Which filter."""

    user_id: Path[str]
    filter_id: Path[str]


@endpoint("GET", "/_matrix/client/v3/user/{user_id}/filter/{filter_id}", auth=Auth.GUEST_OK)
async def get_filter(ctx: Context, request: GetFilter) -> JsonObject:
    """Read a filter."""
    check_own(ctx, request.user_id)
    return await ctx.services.accounts.filters.get(request.user_id, request.filter_id)
