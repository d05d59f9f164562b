"""Files and thumbnails for other servers (server-server API, Content Repository)."""

from collections.abc import AsyncIterator

from chamberlain.http.endpoint import Auth, Context, Limit, Path, Query, Request, Stream, endpoint
from chamberlain.http.media_answer import DOWNLOAD_ERRORS, THUMBNAIL_ERRORS, WAIT_MS
from chamberlain.media.multipart import Envelope
from chamberlain.media.serving import disposition
from chamberlain.media.sizes import Method
from chamberlain.media.stored import StoredFile

MEDIA = "/_matrix/federation/v1/media"


class Download(Request):
    """A file of this server's users, and how long to wait for one that is being uploaded."""

    media_id: Path[str]
    timeout_ms: Query[int] = WAIT_MS


class GetThumbnail(Request):
    """An image of this server's users in smaller."""

    media_id: Path[str]
    width: Query[int]
    height: Query[int]
    method: Query[Method] = "scale"
    animated: Query[bool] = False
    timeout_ms: Query[int] = WAIT_MS


@endpoint(
    "GET",
    f"{MEDIA}/download/{{media_id}}",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=DOWNLOAD_ERRORS,
)
async def get_content(ctx: Context, request: Download) -> Stream:
    """Give a file, as the second part of a `multipart/mixed`."""
    return await _wrapped(ctx, await _find(ctx, request))


@endpoint(
    "GET",
    f"{MEDIA}/thumbnail/{{media_id}}",
    auth=Auth.SIGNED_REQUEST,
    limit=Limit.REMOTE,
    errors=THUMBNAIL_ERRORS,
)
async def get_content_thumbnail(ctx: Context, request: GetThumbnail) -> Stream:
    """Give a thumbnail, as the second part of a `multipart/mixed`."""
    file = await _find(ctx, request)
    media = ctx.services.media
    made = await media.thumbnails.get(
        file, request.width, request.height, request.method, animated=request.animated
    )
    if made is None:
        return await _wrapped(ctx, file)
    kind = made.content_type
    envelope = media.multipart.envelope(kind, disposition(kind, f"thumbnail.{kind.partition('/')[2]}"))
    return _stream(envelope, made.image, len(made.image))


async def _find(ctx: Context, request: Download | GetThumbnail) -> StoredFile:
    own = ctx.services.config.server_name
    files = ctx.services.media.files
    return await files.get(own, request.media_id, request.timeout_ms, authenticated=True)


async def _wrapped(ctx: Context, file: StoredFile) -> Stream:
    media = ctx.services.media
    envelope = media.multipart.envelope(file.content_type, disposition(file.content_type, file.file_name))
    return _stream(envelope, await media.files.read(file, 0, file.size), file.size)


def _stream(envelope: Envelope, content: bytes | AsyncIterator[bytes], size: int) -> Stream:
    length = len(envelope.head) + size + len(envelope.tail)
    return Stream(_pieces(envelope, content), envelope.content_type, length)


async def _pieces(envelope: Envelope, content: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(content, bytes):
        yield envelope.head + content + envelope.tail
        return
    yield envelope.head
    async for piece in content:
        yield piece
    yield envelope.tail
