"""Files and thumbnails as answers: ranges, what the client has already, and headers that keep browsers safe."""

from typing import Final

from chamberlain.http.answers import Raw, Stream
from chamberlain.http.context import Context
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.media import serving
from chamberlain.media.stored import StoredFile
from chamberlain.media.thumbnails import Thumbnail

WAIT_MS: Final = 20_000
"""How long a download waits for a file that is being uploaded, where it does not say otherwise."""
DOWNLOAD_ERRORS: Final = (ErrCode.NOT_FOUND, ErrCode.NOT_YET_UPLOADED, ErrCode.TOO_LARGE, ErrCode.UNKNOWN)
THUMBNAIL_ERRORS: Final = (*DOWNLOAD_ERRORS, ErrCode.INVALID_PARAM)


async def file_answer(ctx: Context, file: StoredFile, file_name: str | None, *, public: bool) -> Raw | Stream:
    """A file, or the part of it that the request asks for, under its own name or another one."""
    etag = f'"{file.sha256}"'
    headers = serving.headers(file.content_type, file_name or file.file_name, etag, public=public)
    if serving.matches(ctx.header("if-none-match"), etag):
        return Raw(b"", file.content_type, 304, headers)
    start, length, status = 0, file.size, 200
    part = serving.parse_range(ctx.header("range"), file.size) if _may_be_part(ctx, etag) else None
    if part is not None:
        start, length = part
        if length == 0:
            return Raw(b"", file.content_type, 416, [*headers, ("Content-Range", f"bytes */{file.size}")])
        status = 206
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{file.size}"))
    found = await ctx.services.media.files.read(file, start, length)
    if isinstance(found, bytes):
        return Raw(found, file.content_type, status, headers)
    return Stream(found, file.content_type, length, status, headers)


def _may_be_part(ctx: Context, etag: str) -> bool:
    """Whether the client's part, if it has one, is of this very file."""
    return ctx.header("if-range") in (None, etag)


def thumbnail_answer(ctx: Context, file: StoredFile, thumbnail: Thumbnail, *, public: bool) -> Raw:
    """A thumbnail."""
    kind = thumbnail.content_type
    etag = f'"{file.sha256}-{len(thumbnail.image)}"'
    headers = serving.headers(kind, f"thumbnail.{kind.partition('/')[2]}", etag, public=public)
    if serving.matches(ctx.header("if-none-match"), etag):
        return Raw(b"", kind, 304, headers)
    return Raw(thumbnail.image, kind, 200, headers)
