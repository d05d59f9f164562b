"""Operations that keep files from everybody without deleting them, and that let them out again."""

from collections.abc import AsyncIterator

import msgspec

from chamberlain.admin import guard
from chamberlain.admin.operation import Done, OperationContext, Plan, Route, Scope, operation
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.ids import is_media_id, is_valid_server_name, parse_room_id
from chamberlain.store.quarantine import FileRow, Wanted
from chamberlain.store.rooms import find_version


class OneFile(msgspec.Struct, frozen=True):
    """A file, by the two parts of its `mxc://` URI."""

    server_name: str
    media_id: str


class OneUpload(msgspec.Struct, frozen=True):
    """A file of this server."""

    media_id: str


class FilesOfUser(msgspec.Struct, frozen=True):
    """Whose uploads."""

    user_id: str


class FilesOfRoom(msgspec.Struct, frozen=True):
    """The room whose unencrypted messages show the files."""

    room_id: str


class Quarantined(msgspec.Struct, frozen=True):
    """How many files are in quarantine now that were not before, copies among them."""

    files: int


class Released(msgspec.Struct, frozen=True):
    """How many files are in quarantine no more, copies among them."""

    files: int


@operation(
    "media.get",
    Scope.MEDIA_READ,
    private=True,
    route=Route("GET", "/media/{server_name}/{media_id}"),
    errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM),
)
async def get_file(ctx: OperationContext, request: OneFile) -> FileRow:
    """Look at what is known of a file."""
    _check_id(request.server_name, request.media_id)
    found = await ctx.parts.media.quarantine.find(request.server_name, request.media_id)
    if found is None:
        raise NotFound("There is no such file here")
    return found


async def plan_quarantine(ctx: OperationContext, request: OneFile) -> Plan:
    """How many files it would be."""
    return await _plan(ctx, _once(_file_of(ctx, request)))


@operation(
    "media.quarantine",
    Scope.MEDIA_WRITE,
    plan=plan_quarantine,
    route=Route("POST", "/media/{server_name}/{media_id}/quarantine"),
    errors=(ErrCode.INVALID_PARAM,),
)
async def quarantine(ctx: OperationContext, request: OneFile) -> Quarantined:
    """Have nobody get a file, nor any with the same bytes, those that come later among them.

    A file of another server need not have been fetched; it will not be. Protected uploads stay as they are.
    """
    return await _quarantine(ctx, _once(_file_of(ctx, request)))


async def plan_release(ctx: OperationContext, request: OneFile) -> Plan:
    """Refuses what the operation would refuse."""
    _check_id(request.server_name, request.media_id)
    return Plan()


@operation(
    "media.release",
    Scope.MEDIA_WRITE,
    plan=plan_release,
    route=Route("POST", "/media/{server_name}/{media_id}/release"),
    errors=(ErrCode.INVALID_PARAM,),
)
async def release(ctx: OperationContext, request: OneFile) -> Released:
    """Let a file out of quarantine, with all that have the same bytes."""
    return Released(await ctx.parts.media.quarantine.lift(_file_of(ctx, request)))


async def plan_quarantine_of_user(ctx: OperationContext, request: FilesOfUser) -> Plan:
    """How many files it would be."""
    await guard.find_target(ctx, request.user_id)
    return await _plan(ctx, ctx.parts.media.quarantine.of_user(request.user_id))


@operation(
    "users.quarantine_media",
    Scope.MEDIA_WRITE,
    plan=plan_quarantine_of_user,
    target="user_id",
    route=Route("POST", "/users/{user_id}/media/quarantine"),
    errors=(ErrCode.NOT_FOUND,),
)
async def quarantine_of_user(ctx: OperationContext, request: FilesOfUser) -> Quarantined:
    """Have nobody get what a user has uploaded."""
    await guard.find_target(ctx, request.user_id)
    return await _quarantine(ctx, ctx.parts.media.quarantine.of_user(request.user_id))


async def plan_quarantine_of_room(ctx: OperationContext, request: FilesOfRoom) -> Plan:
    """How many files it would be."""
    await _check_room(ctx, request.room_id)
    return await _plan(ctx, ctx.parts.media.quarantine.of_room(request.room_id))


@operation(
    "rooms.quarantine_media",
    Scope.MEDIA_WRITE,
    plan=plan_quarantine_of_room,
    target="room_id",
    route=Route("POST", "/rooms/{room_id}/media/quarantine"),
    errors=(ErrCode.NOT_FOUND,),
)
async def quarantine_of_room(ctx: OperationContext, request: FilesOfRoom) -> Quarantined:
    """Have nobody get the files that the unencrypted messages of a room show, of whatever server they are."""
    await _check_room(ctx, request.room_id)
    return await _quarantine(ctx, ctx.parts.media.quarantine.of_room(request.room_id))


async def plan_protection(ctx: OperationContext, request: OneUpload) -> Plan:
    """Refuses what the operation would refuse."""
    if await ctx.parts.media.quarantine.find(ctx.parts.accounts.users.server_name, request.media_id) is None:
        raise NotFound("There is no such file here")
    return Plan()


@operation(
    "media.protect",
    Scope.MEDIA_WRITE,
    plan=plan_protection,
    route=Route("POST", "/media/{media_id}/protect"),
    errors=(ErrCode.NOT_FOUND,),
)
async def protect(ctx: OperationContext, request: OneUpload) -> Done:
    """Keep an upload out of quarantine from now on. One that is in quarantine stays there."""
    return await _set_safe(ctx, request.media_id, safe=True)


@operation(
    "media.unprotect",
    Scope.MEDIA_WRITE,
    plan=plan_protection,
    route=Route("POST", "/media/{media_id}/unprotect"),
    errors=(ErrCode.NOT_FOUND,),
)
async def unprotect(ctx: OperationContext, request: OneUpload) -> Done:
    """Let an upload be quarantined again."""
    return await _set_safe(ctx, request.media_id, safe=False)


async def _set_safe(ctx: OperationContext, media_id: str, *, safe: bool) -> Done:
    if not await ctx.parts.media.quarantine.protect(media_id, safe=safe):
        raise NotFound("There is no such file here")
    return Done()


async def _plan(ctx: OperationContext, parts: AsyncIterator[Wanted]) -> Plan:
    files = sum([await ctx.parts.media.quarantine.count(wanted) async for wanted in parts])
    return Plan(note=f"About {files} files.")


async def _quarantine(ctx: OperationContext, parts: AsyncIterator[Wanted]) -> Quarantined:
    by = ctx.actor.name
    return Quarantined(sum([await ctx.parts.media.quarantine.put(wanted, by) async for wanted in parts]))


async def _once(wanted: Wanted) -> AsyncIterator[Wanted]:
    yield wanted


def _file_of(ctx: OperationContext, request: OneFile) -> Wanted:
    _check_id(request.server_name, request.media_id)
    return ctx.parts.media.quarantine.one(request.server_name, request.media_id)


def _check_id(server_name: str, media_id: str) -> None:
    if not is_valid_server_name(server_name) or not is_media_id(media_id):
        raise InvalidParam("No file can be named like that")


async def _check_room(ctx: OperationContext, room_id: str) -> None:
    if await ctx.parts.db.read(find_version, parse_room_id(room_id)) is None:
        raise NotFound("Room not found")
