"""Synapse's paths for other servers."""

from typing import Any, Literal

import msgspec

from chamberlain.admin.operations import destinations
from chamberlain.admin.operations.paging import Offset
from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.store.outbox_lists import DestinationOrder, DestinationRow

FACADE = "synapse"
MOST_LISTED = 10_000
PATH = "/_synapse/admin/v1/federation/destinations"


class ListDestinations(Request):
    """Filter, order and page of a list of servers."""

    destination: Query[str | None] = None
    order_by: Query[DestinationOrder] = "destination"
    dir: Query[Literal["f", "b"]] = "f"
    start: Query[Offset] = msgspec.field(name="from", default=0)
    limit: Query[Offset] = 100


class ListedDestination(Response):
    """A server; times in ms, 0 and null while it answers."""

    destination: str
    retry_last_ts: int
    retry_interval: int
    failure_ts: int | None
    last_successful_stream_ordering: int | None


class DestinationList(Response, omit_defaults=True):
    """A page of servers, and where the next one begins."""

    destinations: list[ListedDestination]
    total: int
    next_token: str | None = None


@endpoint("GET", PATH, auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def list_destinations(ctx: Context, request: ListDestinations) -> DestinationList:
    """List the servers that this one exchanges things with."""
    wanted = destinations.ListDestinations(
        destination=request.destination,
        order_by=request.order_by,
        dir=request.dir,
        from_=request.start,
        limit=min(request.limit, MOST_LISTED),
    )
    page = await run(ctx, destinations.list_destinations, wanted, facade=FACADE)
    return DestinationList(
        [_listed(server) for server in page.destinations],
        page.total,
        _next(request.start, len(page.destinations), page.total),
    )


class OneDestination(Request):
    """Which server."""

    destination: Path[str]


@endpoint("GET", PATH + "/{destination}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_destination(ctx: Context, request: OneDestination) -> ListedDestination:
    """Look at a server."""
    wanted = destinations.GetDestination(request.destination)
    return _listed((await run(ctx, destinations.get_destination, wanted, facade=FACADE)).server)


class ListRooms(Request):
    """Which server, and which page of its rooms."""

    destination: Path[str]
    dir: Query[Literal["f", "b"]] = "f"
    start: Query[Offset] = msgspec.field(name="from", default=0)
    limit: Query[Offset] = 100


class RoomList(Response, omit_defaults=True):
    """A page of rooms, each with the place of the newest event that was for the server; where the next page begins."""

    rooms: list[dict[str, Any]]
    total: int
    next_token: str | None = None


@endpoint("GET", PATH + "/{destination}/rooms", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def list_destination_rooms(ctx: Context, request: ListRooms) -> RoomList:
    """List the rooms of which a server was told something."""
    wanted = destinations.ListDestinationRooms(
        destination=request.destination,
        dir=request.dir,
        from_=request.start,
        limit=min(request.limit, MOST_LISTED),
    )
    page = await run(ctx, destinations.list_destination_rooms, wanted, facade=FACADE)
    return RoomList(
        [{"room_id": room.room_id, "stream_ordering": room.position} for room in page.rooms],
        page.total,
        _next(request.start, len(page.rooms), page.total),
    )


@endpoint(
    "POST",
    PATH + "/{destination}/reset_connection",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND, ErrCode.UNKNOWN),
)
async def reset_connection(ctx: Context, request: OneDestination) -> None:
    """Ask a server that fails again at once; 400 where it does not fail."""
    wanted = destinations.GetDestination(request.destination)
    await run(ctx, destinations.reset_destination, wanted, facade=FACADE)


def _listed(server: DestinationRow) -> ListedDestination:
    return ListedDestination(
        server.destination, server.last_tried, server.retry_interval, server.failing_since, server.sent
    )


def _next(start: int, count: int, total: int) -> str | None:
    return str(start + count) if count and start + count < total else None
