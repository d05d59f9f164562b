"""`POST /search` (client-server API, Server Side Search)."""

from typing import Annotated, Literal

import msgspec

from chamberlain.http.client.message_pagination import viewer_of
from chamberlain.http.endpoint import Auth, Context, Limit, Query, Raw, Request, endpoint
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.filters import parse_room_event_filter
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.search import ContextWanted, GroupKey, Key, SearchQuery


class Group(msgspec.Struct):
    """By what results are grouped."""

    key: GroupKey


class Groupings(msgspec.Struct):
    """The groups that are wanted."""

    group_by: Annotated[list[Group], msgspec.Meta(max_length=10)] = []


class RoomEvents(msgspec.Struct):
    """What is searched for in rooms."""

    search_term: Annotated[str, msgspec.Meta(max_length=1_000)]
    keys: list[Key] | None = None
    filter: JsonObject = {}
    order_by: Literal["rank", "recent"] = "rank"
    event_context: ContextWanted | None = None
    include_state: bool = False
    groupings: Groupings | None = None


class Categories(msgspec.Struct):
    """What is searched through; rooms are all there is."""

    room_events: RoomEvents | None = None


class SearchRequest(Request):
    """What is searched for, and where to go on."""

    search_categories: Categories
    next_batch: Query[str | None] = None


@endpoint(
    "POST",
    "/_matrix/client/v3/search",
    auth=Auth.ACCESS_TOKEN,
    limit=Limit.HEAVY,
    errors=(ErrCode.INVALID_PARAM,),
)
async def search(ctx: Context, request: SearchRequest) -> Raw:
    """Search the messages, names and topics of the requester's rooms."""
    wanted = request.search_categories.room_events
    if wanted is None:
        return Raw(b'{"search_categories":{}}')
    query = SearchQuery(
        term=wanted.search_term,
        keys=wanted.keys,
        filter=parse_room_event_filter(wanted.filter),
        by_rank=wanted.order_by == "rank",
        context=wanted.event_context,
        include_state=wanted.include_state,
        groups=[group.key for group in wanted.groupings.group_by] if wanted.groupings else (),
    )
    return Raw(await ctx.services.rooms.search.room_events(viewer_of(ctx), query, request.next_batch))
