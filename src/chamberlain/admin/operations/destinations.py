"""Operations on other servers: what waits for them, and since when those that fail do."""

from typing import Annotated, Literal

import msgspec

from chamberlain.admin.operation import Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.paging import Offset, PageSize
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.store import outbox_lists
from chamberlain.store.outbox_lists import DestinationOrder, DestinationRoom, DestinationRow

PATH = "/destinations"
NamePart = Annotated[str, msgspec.Meta(max_length=255)]


class NothingToReset(MatrixError):
    """The server does not fail."""

    def __init__(self) -> None:
        super().__init__(
            ErrCode.UNKNOWN, "This server is not left alone, so there is nothing to reset", status=400
        )


class ListDestinations(msgspec.Struct, frozen=True, kw_only=True):
    """Which servers, in which order, from which place."""

    destination: NamePart | None = None
    """Part of the name."""
    order_by: DestinationOrder = "destination"
    dir: Literal["f", "b"] = "f"
    from_: Offset = msgspec.field(name="from", default=0)
    limit: PageSize = 100


class Destinations(msgspec.Struct, frozen=True):
    """A page of servers; `total` counts those of every page."""

    destinations: list[DestinationRow]
    total: int


@operation("destinations.list", Scope.FEDERATION_READ, route=Route("GET", PATH))
async def list_destinations(ctx: OperationContext, request: ListDestinations) -> Destinations:
    """List the servers that this one exchanges things with."""
    found, total = await ctx.parts.db.snapshot(
        outbox_lists.list_destinations,
        request.destination,
        request.order_by,
        request.dir,
        request.from_,
        request.limit,
    )
    return Destinations(found, total)


class GetDestination(msgspec.Struct, frozen=True):
    """Which server."""

    destination: str


class Destination(msgspec.Struct, frozen=True):
    """A server, and how much waits for it beside events."""

    server: DestinationRow
    waiting_edus: int


@operation(
    "destinations.get",
    Scope.FEDERATION_READ,
    target="destination",
    route=Route("GET", PATH + "/{destination}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def get_destination(ctx: OperationContext, request: GetDestination) -> Destination:
    """Look at a server: whether it answers, how far it was told, what waits for it."""
    server = await _get(ctx, request.destination)
    return Destination(server, await ctx.parts.db.read(outbox_lists.count_edus, request.destination))


class ListDestinationRooms(msgspec.Struct, frozen=True, kw_only=True):
    """Rooms of which server, from which place."""

    destination: str
    dir: Literal["f", "b"] = "f"
    from_: Offset = msgspec.field(name="from", default=0)
    limit: PageSize = 100


class DestinationRooms(msgspec.Struct, frozen=True):
    """A page of rooms; `total` counts those of every page."""

    rooms: list[DestinationRoom]
    total: int


@operation(
    "destinations.rooms",
    Scope.FEDERATION_READ,
    target="destination",
    route=Route("GET", PATH + "/{destination}/rooms"),
    errors=(ErrCode.NOT_FOUND,),
)
async def list_destination_rooms(ctx: OperationContext, request: ListDestinationRooms) -> DestinationRooms:
    """List the rooms of which a server was told something, each with the position of the newest."""
    await _get(ctx, request.destination)
    rooms, total = await ctx.parts.db.snapshot(
        outbox_lists.list_destination_rooms, request.destination, request.dir, request.from_, request.limit
    )
    return DestinationRooms(rooms, total)


async def plan_reset(ctx: OperationContext, request: GetDestination) -> Plan:
    """Refuses what the operation would refuse."""
    server = await _get(ctx, request.destination)
    if not server.retry_interval:
        raise NothingToReset
    return Plan(note="The server would be asked again at once.")


@operation(
    "destinations.reset",
    Scope.FEDERATION_WRITE,
    plan=plan_reset,
    target="destination",
    route=Route("POST", PATH + "/{destination}/reset"),
    errors=(ErrCode.NOT_FOUND, ErrCode.UNKNOWN),
)
async def reset_destination(ctx: OperationContext, request: GetDestination) -> Done:
    """Ask a server that fails again at once, and send it what waits."""
    await plan_reset(ctx, request)
    await ctx.parts.remotes.availability.reset(request.destination)
    return Done()


async def _get(ctx: OperationContext, destination: str) -> DestinationRow:
    server = await ctx.parts.db.read(outbox_lists.find_destination, destination)
    if server is None:
        raise NotFound("Nothing was ever exchanged with a server of this name")
    return server
