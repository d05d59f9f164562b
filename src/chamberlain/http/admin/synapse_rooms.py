"""Synapse's paths for rooms."""

from typing import Any, Literal

import msgspec

from chamberlain.admin.operations import rooms
from chamberlain.admin.operations.paging import Offset
from chamberlain.admin.operations.rooms import RoomOrder, SearchTerm
from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.store.admin_lists import RoomRow

FACADE = "synapse"
MOST_LISTED = 10_000


class ListRooms(Request):
    """Filters, order and page of a list of rooms."""

    search_term: Query[SearchTerm | None] = None
    public_rooms: Query[bool | None] = None
    empty_rooms: Query[bool | None] = None
    order_by: Query[RoomOrder] = "name"
    dir: Query[Literal["f", "b"]] = "f"
    start: Query[Offset] = msgspec.field(name="from", default=0)
    limit: Query[Offset] = 100


class RoomList(Response):
    """A page of rooms, and where those before and after it begin."""

    rooms: list[RoomRow]
    offset: int
    total_rooms: int
    next_batch: int | None = None
    prev_batch: int | None = None


@endpoint("GET", "/_synapse/admin/v1/rooms", auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def list_rooms(ctx: Context, request: ListRooms) -> RoomList:
    """List the rooms that this server knows."""
    limit = min(request.limit, MOST_LISTED)
    wanted = rooms.ListRooms(
        search_term=request.search_term,
        public_rooms=request.public_rooms,
        empty_rooms=request.empty_rooms,
        order_by=request.order_by,
        dir=request.dir,
        from_=request.start,
        limit=limit,
    )
    page = await run(ctx, rooms.list_rooms, wanted, facade=FACADE)
    end = request.start + len(page.rooms)
    return RoomList(
        rooms=page.rooms,
        offset=request.start,
        total_rooms=page.total,
        next_batch=end if page.rooms and end < page.total else None,
        prev_batch=max(0, request.start - limit) if request.start else None,
    )


class OneRoom(Request):
    """Which room."""

    room_id: Path[str]


@endpoint("GET", "/_synapse/admin/v1/rooms/{room_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def get_room(ctx: Context, request: OneRoom) -> dict[str, Any]:
    """Look at a room."""
    found = await run(ctx, rooms.get_room, rooms.GetRoom(request.room_id), facade=FACADE)
    room: dict[str, Any] = msgspec.to_builtins(found.room)
    return room | {
        "joined_local_devices": found.joined_local_devices,
        "forgotten": found.forgotten,
        "tombstoned": found.room.tombstone is not None,
        "replacement_room": found.room.tombstone or None,
    }
