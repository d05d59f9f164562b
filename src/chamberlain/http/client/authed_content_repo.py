"""Downloads and thumbnails for whoever has a token (client-server API, Content repository)."""

from chamberlain.http.client.content_repo import (
    Download,
    GetThumbnail,
    MediaSettings,
    NamedDownload,
    download,
    thumbnail,
)
from chamberlain.http.endpoint import Auth, Context, Raw, Stream, endpoint
from chamberlain.http.media_answer import DOWNLOAD_ERRORS, THUMBNAIL_ERRORS

MEDIA = "/_matrix/client/v1/media"


@endpoint("GET", f"{MEDIA}/download/{{server_name}}/{{media_id}}", auth=Auth.GUEST_OK, errors=DOWNLOAD_ERRORS)
async def get_content_authed(ctx: Context, request: Download) -> Raw | Stream:
    """Download a file."""
    return await download(ctx, request, None, authenticated=True)


@endpoint(
    "GET",
    f"{MEDIA}/download/{{server_name}}/{{media_id}}/{{file_name}}",
    auth=Auth.GUEST_OK,
    errors=DOWNLOAD_ERRORS,
)
async def get_named_content_authed(ctx: Context, request: NamedDownload) -> Raw | Stream:
    """Download a file under another name."""
    return await download(ctx, request, request.file_name, authenticated=True)


@endpoint(
    "GET", f"{MEDIA}/thumbnail/{{server_name}}/{{media_id}}", auth=Auth.GUEST_OK, errors=THUMBNAIL_ERRORS
)
async def get_thumbnail_authed(ctx: Context, request: GetThumbnail) -> Raw | Stream:
    """Get a thumbnail."""
    return await thumbnail(ctx, request, authenticated=True)


@endpoint("GET", f"{MEDIA}/config", auth=Auth.GUEST_OK)
async def get_config_authed(ctx: Context) -> MediaSettings:
    """Tell what may be uploaded."""
    return MediaSettings(upload_size=ctx.services.media.max_upload_bytes)
