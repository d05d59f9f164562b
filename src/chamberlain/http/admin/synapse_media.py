"""Synapse's paths for files."""

from typing import Any

from chamberlain.admin.operations import quarantine
from chamberlain.admin.operations.media import PurgeRemoteMedia, RemoteMediaPurged, purge_remote
from chamberlain.http.endpoint import Auth, Context, Path, Query, Request, Response, endpoint
from chamberlain.http.operations import run
from chamberlain.matrix.errcodes import ErrCode

FACADE = "synapse"


class PurgeMediaCache(Request):
    """The time (ms) since when nobody has read the files."""

    before_ts: Query[int]


@endpoint("POST", "/_synapse/admin/v1/purge_media_cache", auth=Auth.ADMIN, errors=(ErrCode.INVALID_PARAM,))
async def purge_media_cache(ctx: Context, request: PurgeMediaCache) -> RemoteMediaPurged:
    """Delete the fetched files of other servers that nobody has read since a time."""
    return await run(ctx, purge_remote, PurgeRemoteMedia(request.before_ts), facade=FACADE)


class OneFile(Request):
    """A file, by the two parts of its `mxc://` URI."""

    server_name: Path[str]
    media_id: Path[str]


class OneUpload(Request):
    """A file of this server."""

    media_id: Path[str]


class FilesOfUser(Request):
    """Whose uploads."""

    user_id: Path[str]


class FilesOfRoom(Request):
    """The room that shows the files."""

    room_id: Path[str]


class NumQuarantined(Response):
    """How many files are in quarantine now that were not before."""

    num_quarantined: int


class MediaInfo(Response):
    """What is known of a file."""

    media_info: dict[str, Any]


@endpoint(
    "GET", "/_synapse/admin/v1/media/{server_name}/{media_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def get_media(ctx: Context, request: OneFile) -> MediaInfo:
    """Look at what is known of a file."""
    wanted = quarantine.OneFile(request.server_name, request.media_id)
    found = await run(ctx, quarantine.get_file, wanted, facade=FACADE)
    return MediaInfo(
        {
            "media_origin": request.server_name,
            "user_id": found.user_id,
            "media_id": request.media_id,
            "media_type": found.content_type,
            "media_length": found.size,
            "upload_name": found.file_name,
            "created_ts": found.created_at,
            "filesystem_id": found.sha256,
            "url_cache": None,
            "last_access_ts": found.last_access_at,
            "quarantined_by": found.quarantined_by,
            "authenticated": found.frozen,
            "safe_from_quarantine": found.safe,
            "sha256": found.sha256,
        }
    )


@endpoint("POST", "/_synapse/admin/v1/media/quarantine/{server_name}/{media_id}", auth=Auth.ADMIN)
async def quarantine_media(ctx: Context, request: OneFile) -> None:
    """Have nobody get a file, nor any with the same bytes."""
    wanted = quarantine.OneFile(request.server_name, request.media_id)
    await run(ctx, quarantine.quarantine, wanted, facade=FACADE)


@endpoint("POST", "/_synapse/admin/v1/media/unquarantine/{server_name}/{media_id}", auth=Auth.ADMIN)
async def unquarantine_media(ctx: Context, request: OneFile) -> None:
    """Let a file out of quarantine, with all that have the same bytes."""
    wanted = quarantine.OneFile(request.server_name, request.media_id)
    await run(ctx, quarantine.release, wanted, facade=FACADE)


@endpoint(
    "POST",
    "/_synapse/admin/v1/room/{room_id}/media/quarantine",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND,),
    aliases=("/_synapse/admin/v1/quarantine_media/{room_id}",),
)
async def quarantine_media_of_room(ctx: Context, request: FilesOfRoom) -> NumQuarantined:
    """Have nobody get the files that the unencrypted messages of a room show."""
    wanted = quarantine.FilesOfRoom(request.room_id)
    return NumQuarantined((await run(ctx, quarantine.quarantine_of_room, wanted, facade=FACADE)).files)


@endpoint(
    "POST",
    "/_synapse/admin/v1/user/{user_id}/media/quarantine",
    auth=Auth.ADMIN,
    errors=(ErrCode.NOT_FOUND,),
)
async def quarantine_media_of_user(ctx: Context, request: FilesOfUser) -> NumQuarantined:
    """Have nobody get what a user has uploaded."""
    wanted = quarantine.FilesOfUser(request.user_id)
    return NumQuarantined((await run(ctx, quarantine.quarantine_of_user, wanted, facade=FACADE)).files)


@endpoint("POST", "/_synapse/admin/v1/media/protect/{media_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,))
async def protect_media(ctx: Context, request: OneUpload) -> None:
    """Keep an upload out of quarantine from now on."""
    await run(ctx, quarantine.protect, quarantine.OneUpload(request.media_id), facade=FACADE)


@endpoint(
    "POST", "/_synapse/admin/v1/media/unprotect/{media_id}", auth=Auth.ADMIN, errors=(ErrCode.NOT_FOUND,)
)
async def unprotect_media(ctx: Context, request: OneUpload) -> None:
    """Let an upload be quarantined again."""
    await run(ctx, quarantine.unprotect, quarantine.OneUpload(request.media_id), facade=FACADE)
