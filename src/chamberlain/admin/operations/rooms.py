"""Operations on rooms."""

from typing import Annotated, Literal

import msgspec

from chamberlain.admin import foresight
from chamberlain.admin.leaving import EVACUATE_ROOM
from chamberlain.admin.operation import OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.moderation import JobStarted
from chamberlain.admin.operations.paging import Offset, PageSize
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.ids import parse_room_id
from chamberlain.rooms.membership import IN_ROOM
from chamberlain.store import admin_lists, memberships
from chamberlain.store import rooms as rooms_store
from chamberlain.store.admin_lists import RoomFilter, RoomRow

SearchTerm = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
RoomOrder = Literal[
    "name",
    "alphabetical",
    "canonical_alias",
    "joined_members",
    "size",
    "joined_local_members",
    "version",
    "creator",
    "encryption",
    "federatable",
    "public",
    "join_rules",
    "guest_access",
    "history_visibility",
    "state_events",
]


class ListRooms(msgspec.Struct, frozen=True, kw_only=True):
    """Which rooms, in which order, from which place."""

    search_term: SearchTerm | None = None
    """Part of the name or of the alias, or a whole room ID."""
    public_rooms: bool | None = None
    empty_rooms: bool | None = None
    order_by: RoomOrder = "name"
    """Numbers sort the largest first."""
    dir: Literal["f", "b"] = "f"
    from_: Offset = msgspec.field(name="from", default=0)
    limit: PageSize = 100


class Rooms(msgspec.Struct, frozen=True):
    """A page of rooms; `total` counts those of every page."""

    rooms: list[RoomRow]
    total: int


@operation("rooms.list", Scope.ROOMS_READ, route=Route("GET", "/rooms"))
async def list_rooms(ctx: OperationContext, request: ListRooms) -> Rooms:
    """List the rooms that this server knows."""
    wanted = RoomFilter(text=request.search_term, public=request.public_rooms, empty=request.empty_rooms)
    rooms, total = await ctx.parts.db.snapshot(
        admin_lists.list_rooms, wanted, request.order_by, request.dir, request.from_, request.limit
    )
    return Rooms(rooms, total)


class GetRoom(msgspec.Struct, frozen=True):
    """Which room."""

    room_id: str


class RoomDetails(msgspec.Struct, frozen=True):
    """A room. `forgotten`: every local user has left it and hidden it."""

    room: RoomRow
    joined_local_devices: int
    forgotten: bool


@operation(
    "rooms.get",
    Scope.ROOMS_READ,
    target="room_id",
    route=Route("GET", "/rooms/{room_id}"),
    errors=(ErrCode.NOT_FOUND,),
)
async def get_room(ctx: OperationContext, request: GetRoom) -> RoomDetails:
    """Look at one room."""
    room = await ctx.parts.db.read(admin_lists.find_room, request.room_id)
    if room is None:
        raise NotFound("Room not found")
    devices = await ctx.parts.db.snapshot(admin_lists.count_local_devices, request.room_id)
    forgotten = await ctx.parts.db.snapshot(admin_lists.is_forgotten, request.room_id)
    return RoomDetails(room, devices, forgotten)


class EvacuateRoom(msgspec.Struct, frozen=True):
    """Which room is left."""

    room_id: str


async def plan_evacuate_room(ctx: OperationContext, request: EvacuateRoom) -> Plan:
    """The users who would leave."""
    await _check_exists(ctx, request.room_id)
    users = await ctx.parts.db.snapshot(memberships.local_members, request.room_id, IN_ROOM)
    return Plan(
        users=users,
        rooms=[request.room_id],
        rooms_without_admin=await foresight.without_admin(ctx.parts, [request.room_id], set(users)),
        cannot_be_undone=["A room that needs an invitation may have nobody left who can invite."],
    )


@operation(
    "rooms.evacuate",
    Scope.ROOMS_WRITE,
    plan=plan_evacuate_room,
    target="room_id",
    route=Route("POST", "/rooms/{room_id}/evacuate"),
    errors=(ErrCode.NOT_FOUND,),
)
async def evacuate_room(ctx: OperationContext, request: EvacuateRoom) -> JobStarted:
    """Have every local user leave a room, those invited and knocking too."""
    await _check_exists(ctx, request.room_id)
    job = await ctx.parts.jobs.start(EVACUATE_ROOM, request.room_id, ctx.actor.name)
    return JobStarted(job.job_id)


async def _check_exists(ctx: OperationContext, room_id: str) -> None:
    if await ctx.parts.db.read(rooms_store.find_version, parse_room_id(room_id)) is None:
        raise NotFound("Room not found")
