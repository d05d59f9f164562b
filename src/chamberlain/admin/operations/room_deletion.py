"""The operation that deletes a room, and those that block rooms."""

from typing import Final

import msgspec

from chamberlain.admin import foresight, guard
from chamberlain.admin.deletion import DELETE_ROOM, Deletion
from chamberlain.admin.operation import Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.admin.operations.moderation import JobStarted
from chamberlain.admin.operations.paging import SliceSize
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.matrix.ids import parse_room_id
from chamberlain.rooms.membership import IN_ROOM
from chamberlain.store import blocked, memberships, purge
from chamberlain.store.blocked import Block

ROOM_NAME: Final = "Closed room"
MESSAGE: Final = "The administrators of this server have closed the room that you were in."


class DeleteRoom(msgspec.Struct, frozen=True, kw_only=True):
    """Which room, and what becomes of it beside that our users leave it."""

    room_id: str
    block: bool = False
    """Let nobody of this server come into the room any more."""
    purge: bool = True
    """Delete all that this server has of the room."""
    force_purge: bool = False
    """Delete it though users of this server could not leave."""
    new_room_user_id: str | None = None
    """A user of this server, in whose name a room is made that those who were joined come into."""
    room_name: str = ROOM_NAME
    """The name of that room."""
    message: str = MESSAGE
    """What is said in that room."""
    even_unknown: bool = False
    """Also where this server does not know the room: traces of it may be left."""
    attach: bool = True
    """Where the room is being deleted already, give that job; else refuse."""


async def plan_delete(ctx: OperationContext, request: DeleteRoom) -> Plan:
    """Who would leave, and how much would be deleted."""
    await _check(ctx, request)
    db, room_id = ctx.parts.db, request.room_id
    users = await db.snapshot(memberships.local_members, room_id, IN_ROOM)
    extent = await db.snapshot(purge.extent_of, room_id)
    found = (
        f"{extent.events} events, {extent.members} memberships and {extent.aliases} aliases;"
        f" {extent.servers} other servers are in the room."
    )
    lost = ["A room that needs an invitation may have nobody left who can invite."]
    if request.purge:
        lost.append("What other servers do not have of the room is lost: its messages, state and aliases.")
    return Plan(
        users=users,
        rooms=[room_id],
        rooms_without_admin=await foresight.without_admin(ctx.parts, [room_id], set(users)),
        cannot_be_undone=lost,
        note=("It would delete " if request.purge else "It would delete nothing of ") + found,
    )


@operation(
    "rooms.delete",
    Scope.ROOMS_WRITE,
    plan=plan_delete,
    target="room_id",
    route=Route("POST", "/rooms/{room_id}/delete"),
    errors=(ErrCode.NOT_FOUND, ErrCode.UNKNOWN),
)
async def delete_room(ctx: OperationContext, request: DeleteRoom) -> JobStarted:
    """Shut a room down, and purge it: every local user leaves, and nothing of it is left on this server.

    A block comes first. Other servers in the room are sent the leaves before anything is deleted; those that do not
    answer are waited for half a minute, and named in the job. Who was joined may be brought into a room that tells
    them why. Afterwards the room may be joined again through another server, unless it is blocked.
    """
    parts = ctx.parts
    await _check(ctx, request)
    if request.block:
        await parts.db.write(blocked.block, request.room_id, ctx.actor.name, parts.clock.now())
    if not request.attach and await parts.jobs.find_open(DELETE_ROOM, request.room_id) is not None:
        raise MatrixError(ErrCode.UNKNOWN, "The room is being deleted already", status=400)
    wanted = Deletion(
        purge=request.purge,
        force_purge=request.force_purge,
        new_room_user_id=request.new_room_user_id,
        room_name=request.room_name,
        message=request.message,
    )
    arguments = msgspec.to_builtins(wanted)
    job = await parts.jobs.start(DELETE_ROOM, request.room_id, ctx.actor.name, arguments)
    return JobStarted(job.job_id)


async def _check(ctx: OperationContext, request: DeleteRoom) -> None:
    parse_room_id(request.room_id)
    may_be_unknown = request.block or request.even_unknown
    if not may_be_unknown and not await ctx.parts.db.read(purge.is_anything_left, request.room_id):
        raise NotFound("Room not found")
    if request.new_room_user_id is not None:
        await guard.find_active_target(ctx, request.new_room_user_id)


class GetBlock(msgspec.Struct, frozen=True):
    """Which room."""

    room_id: str


class BlockState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the room is blocked, by whom and since when (ms)."""

    block: bool
    blocked_by: str | None = None
    blocked_at: int | None = None


@operation(
    "rooms.get_block", Scope.ROOMS_READ, target="room_id", route=Route("GET", "/rooms/{room_id}/block")
)
async def get_block(ctx: OperationContext, request: GetBlock) -> BlockState:
    """Tell whether a room is blocked; this server need not know it."""
    found = await ctx.parts.db.read(blocked.find, parse_room_id(request.room_id))
    return BlockState(False) if found is None else BlockState(True, found.blocked_by, found.blocked_at)


class SetBlock(msgspec.Struct, frozen=True):
    """Which room, and whether it is to be blocked."""

    room_id: str
    block: bool


async def plan_set_block(ctx: OperationContext, request: SetBlock) -> Plan:
    """What it would mean."""
    room_id = parse_room_id(request.room_id)
    if not request.block:
        return Plan(rooms=[room_id], note="Users could come into the room again.")
    return Plan(rooms=[room_id], note="Nobody could come into the room; who is in it would stay.")


@operation(
    "rooms.set_block",
    Scope.ROOMS_WRITE,
    plan=plan_set_block,
    target="room_id",
    route=Route("PUT", "/rooms/{room_id}/block"),
)
async def set_block(ctx: OperationContext, request: SetBlock) -> Done:
    """Let nobody of this server come into a room, or let them again; this server need not know the room."""
    room_id = parse_room_id(request.room_id)
    if request.block:
        await ctx.parts.db.write(blocked.block, room_id, ctx.actor.name, ctx.parts.clock.now())
    else:
        await ctx.parts.db.write(blocked.unblock, room_id)
    return Done()


class ListBlocks(msgspec.Struct, frozen=True, kw_only=True):
    """The blocked rooms, by id, behind the room `after`."""

    after: str = ""
    limit: SliceSize = 100


class BlockedRooms(msgspec.Struct, frozen=True):
    """A page of blocked rooms."""

    rooms: list[Block]


@operation("rooms.list_blocked", Scope.ROOMS_READ, route=Route("GET", "/blocked-rooms"))
async def list_blocked(ctx: OperationContext, request: ListBlocks) -> BlockedRooms:
    """List the rooms that are blocked."""
    return BlockedRooms(await ctx.parts.db.read(blocked.list_blocked, request.after, request.limit))
