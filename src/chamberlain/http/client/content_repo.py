"""Uploads, and the old paths of downloads that ask for no token (client-server API, Content repository)."""

import msgspec

from chamberlain.http.endpoint import (
    Auth,
    Context,
    Limit,
    Path,
    Query,
    Raw,
    Request,
    Response,
    Stream,
    Upload,
    endpoint,
)
from chamberlain.http.media_answer import (
    DOWNLOAD_ERRORS,
    THUMBNAIL_ERRORS,
    WAIT_MS,
    file_answer,
    thumbnail_answer,
)
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.media.sizes import Method
from chamberlain.media.stored import StoredFile

MEDIA = "/_matrix/media/v3"


class UploadFile(Request):
    """A file."""

    file: Upload
    filename: Query[str | None] = None


class FillFile(Request):
    """A file for an id that was made before."""

    server_name: Path[str]
    media_id: Path[str]
    file: Upload
    filename: Query[str | None] = None


class Uploaded(Response):
    """Where the file is."""

    content_uri: str


class Created(Response):
    """Where the file will be, and until when (ms) it must be uploaded."""

    content_uri: str
    unused_expires_at: int


class MediaSettings(Response):
    """What may be uploaded."""

    upload_size: int = msgspec.field(name="m.upload.size")


class Download(Request):
    """A file, and how long to wait for one that is being uploaded.

    Without `allow_remote`, a file of another server is given only where it has been fetched already.
    """

    server_name: Path[str]
    media_id: Path[str]
    timeout_ms: Query[int] = WAIT_MS
    allow_remote: Query[bool] = True


class NamedDownload(Download):
    """A file under another name."""

    file_name: Path[str]


class GetThumbnail(Download):
    """An image in smaller."""

    width: Query[int]
    height: Query[int]
    method: Query[Method] = "scale"
    animated: Query[bool] = False


async def download(ctx: Context, request: Download, name: str | None, *, authenticated: bool) -> Raw | Stream:
    """The answer to any download."""
    file = await _find(ctx, request, authenticated=authenticated)
    return await file_answer(ctx, file, name, public=not authenticated)


async def thumbnail(ctx: Context, request: GetThumbnail, *, authenticated: bool) -> Raw | Stream:
    """The answer to any thumbnail."""
    public = not authenticated
    file = await _find(ctx, request, authenticated=authenticated)
    made = await ctx.services.media.thumbnails.get(
        file, request.width, request.height, request.method, animated=request.animated
    )
    if made is None:
        return await file_answer(ctx, file, None, public=public)
    return thumbnail_answer(ctx, file, made, public=public)


async def _find(ctx: Context, request: Download, *, authenticated: bool) -> StoredFile:
    return await ctx.services.media.files.get(
        request.server_name,
        request.media_id,
        request.timeout_ms,
        authenticated=authenticated,
        allow_remote=request.allow_remote,
    )


@endpoint(
    "POST",
    f"{MEDIA}/upload",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.TOO_LARGE, ErrCode.INVALID_PARAM, ErrCode.USER_SUSPENDED),
)
async def upload_content(ctx: Context, request: UploadFile) -> Uploaded:
    """Upload a file."""
    media = ctx.services.media
    ctx.requester.must_not_be_suspended()
    media_id = await media.files.upload(
        ctx.requester.user_id,
        request.file.chunks(media.max_upload_bytes),
        ctx.content_type,
        request.filename,
    )
    return Uploaded(content_uri=media.files.uri(media_id))


@endpoint(
    "POST",
    "/_matrix/media/v1/create",
    auth=Auth.ACCESS_TOKEN,
    errors=(ErrCode.LIMIT_EXCEEDED, ErrCode.USER_SUSPENDED),
)
async def create_content(ctx: Context) -> Created:
    """Make the URI of a file that is uploaded later."""
    files = ctx.services.media.files
    ctx.requester.must_not_be_suspended()
    media_id, expires_at = await files.create(ctx.requester.user_id)
    return Created(content_uri=files.uri(media_id), unused_expires_at=expires_at)


@endpoint(
    "PUT",
    f"{MEDIA}/upload/{{server_name}}/{{media_id}}",
    auth=Auth.ACCESS_TOKEN,
    errors=(
        ErrCode.CANNOT_OVERWRITE_MEDIA,
        ErrCode.FORBIDDEN,
        ErrCode.NOT_FOUND,
        ErrCode.TOO_LARGE,
        ErrCode.USER_SUSPENDED,
    ),
)
async def fill_content(ctx: Context, request: FillFile) -> None:
    """Upload the file of a URI that was made before."""
    media = ctx.services.media
    ctx.requester.must_not_be_suspended()
    await media.files.fill(
        ctx.requester.user_id,
        request.server_name,
        request.media_id,
        request.file.chunks(media.max_upload_bytes),
        ctx.content_type,
        request.filename,
    )


@endpoint("GET", f"{MEDIA}/config", auth=Auth.ACCESS_TOKEN)
async def get_config(ctx: Context) -> MediaSettings:
    """Tell what may be uploaded (the older path)."""
    return MediaSettings(upload_size=ctx.services.media.max_upload_bytes)


@endpoint("GET", f"{MEDIA}/download/{{server_name}}/{{media_id}}", auth=Auth.NONE, errors=DOWNLOAD_ERRORS)
async def get_content(ctx: Context, request: Download) -> Raw | Stream:
    """Download a file without a token (the older path)."""
    return await download(ctx, request, None, authenticated=False)


@endpoint(
    "GET",
    f"{MEDIA}/download/{{server_name}}/{{media_id}}/{{file_name}}",
    auth=Auth.NONE,
    errors=DOWNLOAD_ERRORS,
)
async def get_named_content(ctx: Context, request: NamedDownload) -> Raw | Stream:
    """Download a file under another name without a token (the older path)."""
    return await download(ctx, request, request.file_name, authenticated=False)


@endpoint(
    "GET",
    f"{MEDIA}/thumbnail/{{server_name}}/{{media_id}}",
    auth=Auth.NONE,
    limit=Limit.READ,
    errors=THUMBNAIL_ERRORS,
)
async def get_thumbnail(ctx: Context, request: GetThumbnail) -> Raw | Stream:
    """Get a thumbnail without a token (the older path)."""
    return await thumbnail(ctx, request, authenticated=False)
