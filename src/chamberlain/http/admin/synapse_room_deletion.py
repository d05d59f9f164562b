"""Synapse's paths for deleting and for blocking rooms."""

from typing import Annotated

import msgspec

from chamberlain.admin.deletion import DELETE_ROOM, REPLACEMENT
from chamberlain.admin.operations import jobs as job_operations
from chamberlain.admin.operations import room_deletion
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError, NotFound
from chamberlain.matrix.ids import parse_room_id
from chamberlain.store.jobs import COMPLETE, DONE, FAILED, Job

FACADE = "synapse"
MOST_SHOWN = 1_000
"""So many deletions of one room are shown; they are kept for a week."""
Text = Annotated[str, msgspec.Meta(max_length=10_000)]


class DeleteRoom(Request):
    """Which room, and what becomes of it beside that local users leave it."""

    room_id: Path[str]
    new_room_user_id: str | None = None
    room_name: Text | None = None
    message: Text | None = None
    block: bool = False
    purge: bool = True
    force_purge: bool = False


class ShutDown(Response):
    """Who was made to leave, and could not be; the aliases that name the new room now."""

    kicked_users: list[str]
    failed_to_kick_users: list[str]
    local_aliases: list[str]
    new_room_id: str | None


class Started(Response):
    """The deletion that was begun."""

    delete_id: str


class Deletion(Response, omit_defaults=True):
    """How far a deletion is. `error` says why it failed; `shutdown_room` is null before it has begun."""

    delete_id: str
    room_id: str
    status: str
    shutdown_room: ShutDown | None
    error: str | None = None


class Deletions(Response):
    """The deletions of a room in the last week, the newest first."""

    results: list[Deletion]


_ERRORS = (ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM, ErrCode.UNKNOWN)


@endpoint("DELETE", "/_synapse/admin/v1/rooms/{room_id}", auth=Auth.ADMIN, errors=_ERRORS)
async def delete_room(ctx: Context, request: DeleteRoom) -> ShutDown:
    """Delete a room, and answer when that is done."""
    return await _delete_and_wait(ctx, request)


@endpoint("POST", "/_synapse/admin/v1/rooms/{room_id}/delete", auth=Auth.ADMIN, errors=_ERRORS)
async def delete_room_by_post(ctx: Context, request: DeleteRoom) -> ShutDown:
    """Delete a room, as `DELETE` does: the form that older scripts use."""
    return await _delete_and_wait(ctx, request)


@endpoint("DELETE", "/_synapse/admin/v2/rooms/{room_id}", auth=Auth.ADMIN, errors=_ERRORS)
async def begin_to_delete_room(ctx: Context, request: DeleteRoom) -> Started:
    """Begin to delete a room, whether this server knows it or not; only one deletion of it is under way at a time."""
    wanted = msgspec.structs.replace(_wanted(request), even_unknown=True, attach=False)
    return Started((await run(ctx, room_deletion.delete_room, wanted, facade=FACADE)).job_id)


def _wanted(request: DeleteRoom) -> room_deletion.DeleteRoom:
    return room_deletion.DeleteRoom(
        room_id=request.room_id,
        block=request.block,
        purge=request.purge,
        force_purge=request.force_purge,
        new_room_user_id=request.new_room_user_id,
        room_name=room_deletion.ROOM_NAME if request.room_name is None else request.room_name,
        message=room_deletion.MESSAGE if request.message is None else request.message,
    )


async def _delete_and_wait(ctx: Context, request: DeleteRoom) -> ShutDown:
    started = await run(ctx, room_deletion.delete_room, _wanted(request), facade=FACADE)
    job = await ctx.services.admin.jobs.wait(started.job_id)
    outcome = await _outcome_of(ctx, job)
    if job.state != COMPLETE:
        cause = job.error or f"The job was {job.state}"
        status = 400 if outcome.failed_to_kick_users else 500
        raise MatrixError(ErrCode.UNKNOWN, cause, status=status, job_id=job.job_id)
    return outcome


class OneRoom(Request):
    """Which room."""

    room_id: Path[str]


class OneDeletion(Request):
    """Which deletion."""

    delete_id: Path[str]


@endpoint(
    "GET", "/_synapse/admin/v2/rooms/{room_id}/delete_status", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def list_deletions(ctx: Context, request: OneRoom) -> Deletions:
    """Tell how far the deletions of a room are."""
    wanted = job_operations.ListJobs(
        kind=DELETE_ROOM, subject=parse_room_id(request.room_id), limit=MOST_SHOWN
    )
    found = (await run(ctx, job_operations.list_jobs, wanted, facade=FACADE)).jobs
    if not found:
        raise NotFound("The room was not deleted in the last week")
    return Deletions([await _shown(ctx, job) for job in found])


@endpoint(
    "GET", "/_synapse/admin/v2/rooms/delete_status/{delete_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def get_deletion(ctx: Context, request: OneDeletion) -> Deletion:
    """Tell how far a deletion is."""
    wanted = job_operations.GetJob(job_id=request.delete_id, limit=1)
    job = (await run(ctx, job_operations.get_job, wanted, facade=FACADE)).job
    if job.kind != DELETE_ROOM:
        raise NotFound("There is no such deletion")
    return await _shown(ctx, job)


async def _shown(ctx: Context, job: Job) -> Deletion:
    outcome = await _outcome_of(ctx, job) if job.planned else None
    return Deletion(job.job_id, job.subject, job.state, outcome, job.error)


async def _outcome_of(ctx: Context, job: Job) -> ShutDown:
    items = await ctx.services.admin.jobs.list_items(job.job_id, (DONE, FAILED))
    users = [item for item in items if item.item.startswith("@")]
    return ShutDown(
        kicked_users=[item.item for item in users if item.state == DONE],
        failed_to_kick_users=[item.item for item in users if item.state == FAILED],
        local_aliases=[item.item for item in items if item.item.startswith("#") and item.detail is not None],
        new_room_id=next((item.detail for item in items if item.item == REPLACEMENT), None),
    )


class SetBlock(Request):
    """Which room, and whether it is to be blocked."""

    room_id: Path[str]
    block: bool


class BlockState(Response, omit_defaults=True):
    """Whether a room is blocked, and who did that."""

    block: bool
    user_id: str | None = None


@endpoint("PUT", "/_synapse/admin/v1/rooms/{room_id}/block", auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def set_block(ctx: Context, request: SetBlock) -> BlockState:
    """Let nobody of this server come into a room, or let them again; this server need not know the room."""
    wanted = room_deletion.SetBlock(request.room_id, request.block)
    await run(ctx, room_deletion.set_block, wanted, facade=FACADE)
    return BlockState(request.block)


@endpoint("GET", "/_synapse/admin/v1/rooms/{room_id}/block", auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def get_block(ctx: Context, request: OneRoom) -> BlockState:
    """Tell whether a room is blocked."""
    found = await run(ctx, room_deletion.get_block, room_deletion.GetBlock(request.room_id), facade=FACADE)
    return BlockState(found.block, found.blocked_by)
