"""Dendrite's administration paths, with the `GET` verbs and the bare localparts of its older documentation."""

from chamberlain.admin.operations import moderation, room_deletion, rooms
from chamberlain.http.endpoint import Auth, Context, Path, Request, Response, Status, endpoint
from chamberlain.http.operations import NO_STORE, run
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import BadJson, MatrixError, MissingParam
from chamberlain.matrix.types import JsonObject
from chamberlain.store import jobs

FACADE = "dendrite"
OLD_FACADE = "dendrite GET"

MIN_PASSWORD = 8
MAX_PASSWORD = 512


class EvacuateRoom(Request):
    """Which room."""

    room_id: Path[str]


class PurgeRoom(Request):
    """Which room."""

    room_id: Path[str]


class EvacuateUser(Request):
    """Who."""

    user_id: Path[str]


@endpoint("POST", "/_dendrite/admin/evacuateRoom/{room_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def evacuate_room(ctx: Context, request: EvacuateRoom) -> Status:
    """Have every local user leave a room; answers with the users who left, and those who could not."""
    return await _evacuate_room(ctx, request, FACADE)


@endpoint("GET", "/_dendrite/admin/evacuateRoom/{room_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def evacuate_room_by_get(ctx: Context, request: EvacuateRoom) -> Status:
    """Have every local user leave a room, as `POST` does; a setting switches this form off."""
    _check_get_is_on(ctx)
    return await _evacuate_room(ctx, request, OLD_FACADE)


@endpoint("POST", "/_dendrite/admin/evacuateUser/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def evacuate_user(ctx: Context, request: EvacuateUser) -> Status:
    """Have a user leave every room; answers with the rooms that were left, and those that could not be."""
    return await _evacuate_user(ctx, request, FACADE)


@endpoint("GET", "/_dendrite/admin/evacuateUser/{user_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def evacuate_user_by_get(ctx: Context, request: EvacuateUser) -> Status:
    """Have a user leave every room, as `POST` does; a setting switches this form off."""
    _check_get_is_on(ctx)
    return await _evacuate_user(ctx, request, OLD_FACADE)


@endpoint(
    "POST",
    "/_dendrite/admin/purgeRoom/{room_id}",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def purge_room(ctx: Context, request: PurgeRoom) -> Status:
    """Have every local user leave a room and delete all of it, whoever could not leave; answers when it is gone."""
    wanted = room_deletion.DeleteRoom(room_id=request.room_id, force_purge=True)
    started = await run(ctx, room_deletion.delete_room, wanted, facade=FACADE)
    job = await ctx.services.admin.jobs.wait(started.job_id)
    if job.state != jobs.COMPLETE:
        cause = job.error or f"The job was {job.state}"
        raise MatrixError(ErrCode.UNKNOWN, cause, status=500, job_id=job.job_id)
    return Status(200, {}, NO_STORE)


def _check_get_is_on(ctx: Context) -> None:
    if not ctx.services.config.admin.legacy_get_evacuate:
        raise MatrixError(ErrCode.UNRECOGNIZED, "Use POST: the GET form is switched off", status=405)


async def _evacuate_room(ctx: Context, request: EvacuateRoom, facade: str) -> Status:
    started = await run(ctx, rooms.evacuate_room, rooms.EvacuateRoom(request.room_id), facade=facade)
    return await _result_of(ctx, started.job_id)


async def _evacuate_user(ctx: Context, request: EvacuateUser, facade: str) -> Status:
    wanted = moderation.EvacuateUser(request.user_id)
    started = await run(ctx, moderation.evacuate_user, wanted, facade=facade)
    return await _result_of(ctx, started.job_id)


async def _result_of(ctx: Context, job_id: str) -> Status:
    """What the job did, when it is finished: whom or what it really affected, and what failed, with the cause."""
    service = ctx.services.admin.jobs
    job = await service.wait(job_id)
    items = await service.list_items(job_id, (jobs.DONE, jobs.FAILED))
    body: JsonObject = {"affected": [item.item for item in items if item.state == jobs.DONE]}
    if job.failed:
        body["failed"] = {item.item: item.detail for item in items if item.state == jobs.FAILED}
    if job.state != jobs.COMPLETE:
        cause = job.error or f"The job was {job.state}"
        raise MatrixError(ErrCode.UNKNOWN, cause, status=500, job_id=job_id, **body)
    return Status(200, body, NO_STORE)


class ResetPassword(Request):
    """The new password. `user` is a user ID or, as of old, a localpart alone: then every device is logged out."""

    user: Path[str]
    password: str
    logout_devices: bool = False


class PasswordReset(Response):
    """That the password is another one now."""

    password_updated: bool


@endpoint(
    "POST",
    "/_dendrite/admin/resetPassword/{user}",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND, ErrCode.WEAK_PASSWORD, ErrCode.MISSING_PARAM, ErrCode.BAD_JSON),
)
async def reset_password(ctx: Context, request: ResetPassword) -> PasswordReset:
    """Set the password of a user."""
    _check_password(request.password)
    user_id = ctx.services.accounts.users.parse_local(request.user)
    logout = request.logout_devices or not request.user.startswith("@")
    wanted = moderation.ResetPassword(user_id, request.password, logout)
    await run(ctx, moderation.reset_password, wanted, facade=FACADE)
    return PasswordReset(True)


def _check_password(password: str) -> None:
    if not password:
        raise MissingParam("Expecting non-empty password")
    if len(password) < MIN_PASSWORD:
        raise MatrixError(ErrCode.WEAK_PASSWORD, f"The password needs at least {MIN_PASSWORD} characters")
    if len(password) > MAX_PASSWORD:
        raise BadJson(f"The password has more than {MAX_PASSWORD} characters")
