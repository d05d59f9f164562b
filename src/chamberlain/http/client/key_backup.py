"""`/room_keys/…` (client-server API, Server-side key backups)."""

import msgspec

from chamberlain.devices.backups import KeyData
from chamberlain.http.endpoint import (
    Auth,
    Body,
    Context,
    Path,
    Query,
    Raw,
    Request,
    Response,
    endpoint,
)
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam
from chamberlain.matrix.types import JsonObject
from chamberlain.store.key_backups import Backup

KEYS_BODY_LIMIT = 16 * 1_048_576
"""Bytes of an upload of many sessions."""
VERSION = "/_matrix/client/v3/room_keys/version"
KEYS = "/_matrix/client/v3/room_keys/keys"
NOT_FOUND = (ErrCode.NOT_FOUND,)
NOT_CURRENT = (ErrCode.NOT_FOUND, ErrCode.WRONG_ROOM_KEYS_VERSION)


class CreateVersion(Request):
    """A new backup."""

    algorithm: str
    auth_data: JsonObject


class CreatedVersion(Response):
    """The new version."""

    version: str


class OneVersion(Request):
    """A version of the backup."""

    version: Path[str]


class NewAuthData(msgspec.Struct):
    """The auth data to replace the old. A `version` must be that of the path."""

    algorithm: str
    auth_data: JsonObject
    version: str | None = None


class UpdateVersion(Request):
    """A version of the backup and its new auth data."""

    version: Path[str]
    new: Body[NewAuthData]


class RoomSessions(msgspec.Struct):
    """Sessions by their ids."""

    sessions: dict[str, KeyData]


class WholeBackup(Request):
    """A version of the backup."""

    version: Query[str]


class OneRoom(Request):
    """A room in a version of the backup."""

    room_id: Path[str]
    version: Query[str]


class OneSession(Request):
    """A session in a version of the backup."""

    room_id: Path[str]
    session_id: Path[str]
    version: Query[str]


class PutRooms(Request):
    """Sessions of several rooms."""

    version: Query[str]
    rooms: dict[str, RoomSessions]


class PutRoom(Request):
    """Sessions of a room."""

    room_id: Path[str]
    version: Query[str]
    room: Body[RoomSessions]


class PutSession(Request):
    """A session."""

    room_id: Path[str]
    session_id: Path[str]
    version: Query[str]
    data: Body[KeyData]


class BackupState(Response):
    """A version after a change."""

    etag: str
    count: int


def _state(backup: Backup) -> BackupState:
    return BackupState(etag=str(backup.etag), count=backup.keys)


@endpoint("POST", VERSION, auth=Auth.ACCESS_TOKEN)
async def create_version(ctx: Context, request: CreateVersion) -> CreatedVersion:
    """Create a backup, which takes the place of the one before."""
    backups = ctx.services.devices.backups
    return CreatedVersion(
        version=await backups.create(ctx.requester.user_id, request.algorithm, request.auth_data)
    )


@endpoint("GET", VERSION, auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def get_current_version(ctx: Context) -> Raw:
    """Get the current backup."""
    return Raw(await ctx.services.devices.backups.get(ctx.requester.user_id))


@endpoint("GET", VERSION + "/{version}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def get_version(ctx: Context, request: OneVersion) -> Raw:
    """Get a backup."""
    return Raw(await ctx.services.devices.backups.get(ctx.requester.user_id, request.version))


@endpoint(
    "PUT", VERSION + "/{version}", auth=Auth.ACCESS_TOKEN, errors=(ErrCode.NOT_FOUND, ErrCode.INVALID_PARAM)
)
async def update_version(ctx: Context, request: UpdateVersion) -> None:
    """Replace the auth data of a backup."""
    new = request.new
    if new.version not in (None, request.version):
        raise InvalidParam("The version in the body is not that of the path")
    backups = ctx.services.devices.backups
    await backups.update(ctx.requester.user_id, request.version, new.algorithm, new.auth_data)


@endpoint("DELETE", VERSION + "/{version}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def delete_version(ctx: Context, request: OneVersion) -> None:
    """Delete a backup with its keys; harmless when it is gone."""
    await ctx.services.devices.backups.delete(ctx.requester.user_id, request.version)


@endpoint("PUT", KEYS, auth=Auth.ACCESS_TOKEN, errors=NOT_CURRENT, max_body=KEYS_BODY_LIMIT)
async def put_rooms(ctx: Context, request: PutRooms) -> BackupState:
    """Store keys of several rooms in the current backup."""
    sessions = {room_id: room.sessions for room_id, room in request.rooms.items()}
    backups = ctx.services.devices.backups
    return _state(await backups.put(ctx.requester.user_id, request.version, sessions))


@endpoint("PUT", KEYS + "/{room_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_CURRENT, max_body=KEYS_BODY_LIMIT)
async def put_room(ctx: Context, request: PutRoom) -> BackupState:
    """Store keys of a room in the current backup."""
    sessions = {request.room_id: request.room.sessions}
    backups = ctx.services.devices.backups
    return _state(await backups.put(ctx.requester.user_id, request.version, sessions))


@endpoint("PUT", KEYS + "/{room_id}/{session_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_CURRENT)
async def put_session(ctx: Context, request: PutSession) -> BackupState:
    """Store a key in the current backup."""
    sessions = {request.room_id: {request.session_id: request.data}}
    backups = ctx.services.devices.backups
    return _state(await backups.put(ctx.requester.user_id, request.version, sessions))


@endpoint("GET", KEYS, auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def get_rooms(ctx: Context, request: WholeBackup) -> Raw:
    """Get all keys of a backup."""
    return Raw(await ctx.services.devices.backups.sessions(ctx.requester.user_id, request.version))


@endpoint("GET", KEYS + "/{room_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def get_room(ctx: Context, request: OneRoom) -> Raw:
    """Get the keys of a room."""
    backups = ctx.services.devices.backups
    return Raw(await backups.sessions_of_room(ctx.requester.user_id, request.version, request.room_id))


@endpoint("GET", KEYS + "/{room_id}/{session_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def get_session(ctx: Context, request: OneSession) -> Raw:
    """Get a key."""
    return Raw(
        await ctx.services.devices.backups.session(
            ctx.requester.user_id, request.version, request.room_id, request.session_id
        )
    )


@endpoint("DELETE", KEYS, auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def delete_rooms(ctx: Context, request: WholeBackup) -> BackupState:
    """Delete all keys of a backup."""
    backups = ctx.services.devices.backups
    return _state(await backups.delete_sessions(ctx.requester.user_id, request.version))


@endpoint("DELETE", KEYS + "/{room_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def delete_room(ctx: Context, request: OneRoom) -> BackupState:
    """Delete the keys of a room."""
    backups = ctx.services.devices.backups
    return _state(await backups.delete_sessions(ctx.requester.user_id, request.version, request.room_id))


@endpoint("DELETE", KEYS + "/{room_id}/{session_id}", auth=Auth.ACCESS_TOKEN, errors=NOT_FOUND)
async def delete_session(ctx: Context, request: OneSession) -> BackupState:
    """Delete a key."""
    backups = ctx.services.devices.backups
    return _state(
        await backups.delete_sessions(
            ctx.requester.user_id, request.version, request.room_id, request.session_id
        )
    )
