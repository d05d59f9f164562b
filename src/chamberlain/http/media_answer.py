"""Files and thumbnails as answers: ranges, what the client has already, and headers that keep browsers safe."""

from chamberlain.http.answers import Raw, Stream
from chamberlain.http.context import Context
from chamberlain.media import serving
from chamberlain.media.thumbnails import Thumbnail
from chamberlain.store.media import MediaRow


async def file_answer(ctx: Context, row: MediaRow, file_name: str | None, *, public: bool) -> Raw | Stream:
    """A file, or the part of it that the request asks for, under its own name or another one."""
    assert row.size is not None
    etag = f'"{row.sha256}"'
    headers = serving.headers(row.content_type, file_name or row.file_name, etag, public=public)
    if serving.matches(ctx.header("if-none-match"), etag):
        return Raw(b"", row.content_type, 304, headers)
    start, length, status = 0, row.size, 200
    part = serving.parse_range(ctx.header("range"), row.size) if _may_be_part(ctx, etag) else None
    if part is not None:
        start, length = part
        if length == 0:
            return Raw(b"", row.content_type, 416, [*headers, ("Content-Range", f"bytes */{row.size}")])
        status = 206
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{row.size}"))
    found = await ctx.services.media.files.read(row, start, length)
    if isinstance(found, bytes):
        return Raw(found, row.content_type, status, headers)
    return Stream(found, row.content_type, length, status, headers)


def _may_be_part(ctx: Context, etag: str) -> bool:
    """Whether the client's part, if it has one, is of this very file."""
    return ctx.header("if-range") in (None, etag)


def thumbnail_answer(ctx: Context, row: MediaRow, thumbnail: Thumbnail, *, public: bool) -> Raw:
    """A thumbnail."""
    kind = thumbnail.content_type
    etag = f'"{row.sha256}-{len(thumbnail.image)}"'
    headers = serving.headers(kind, f"thumbnail.{kind.partition('/')[2]}", etag, public=public)
    if serving.matches(ctx.header("if-none-match"), etag):
        return Raw(b"", kind, 304, headers)
    return Raw(thumbnail.image, kind, 200, headers)
