"""Thumbnails: made when they are first asked for, and kept (client-server API, Thumbnails)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, LimitExceeded, MatrixError
from chamberlain.media import sizes
from chamberlain.media.blobs import BlobStore
from chamberlain.media.sizes import Method, Size
from chamberlain.media.stored import StoredFile
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.tasks import Tasks

THREADS: Final = 2
MAX_WAITING: Final = 64
"""How many thumbnails may be under way; more requests are told to come again."""
MAX_KEPT: Final = 24
"""How many thumbnails of one image are kept."""
ORIGINALS_KNOWN: Final = 10_000
"""Of how many images it is remembered that they are their own thumbnail."""

_Key = tuple[str, str]
"""The hash of the original, and which thumbnail."""


class Thumbnail(msgspec.Struct, frozen=True):
    """An image to show; `content_type` is one that may be shown inline."""

    content_type: str
    image: bytes


_Made = Thumbnail | MatrixError | None
"""A thumbnail, or why there is none, or None where the original is the answer."""


class Thumbnails:
    """Makes and keeps thumbnails."""

    def __init__(self, blobs: BlobStore, tasks: Tasks, *, max_pixels: int) -> None:
        self._blobs = blobs
        self._tasks = tasks
        self._max_pixels = max_pixels
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="thumbnail")
        self._under_way: dict[_Key, asyncio.Task[_Made]] = {}
        self._originals: Cache[_Key, bool] = Cache(ORIGINALS_KNOWN, "thumbnails")

    def close(self) -> None:
        """Let the thumbnails under way end."""
        self._threads.shutdown()

    async def get(
        self, file: StoredFile, width: int, height: int, method: Method, *, animated: bool
    ) -> Thumbnail | None:
        """A thumbnail of a file; None where the file itself is the answer: it is smaller than what is asked for.

        Raises:
            InvalidParam: a dimension is not positive.
            MatrixError: M_TOO_LARGE (413) for an image of too many pixels; M_UNKNOWN (400) for what is no image.
            LimitExceeded: too many thumbnails are being made.
        """
        if width < 1 or height < 1:
            raise InvalidParam("width and height must be positive")
        size = sizes.choose(width, height, method)
        key = file.sha256, ("original" if size is None else size.name) + ("-animated" if animated else "")
        if key in self._originals:
            return None
        kept = await self._blobs.find_thumbnail(*key)
        if kept is not None:
            return Thumbnail(*kept)
        made = await self._shared(key, size, animated=animated)
        if isinstance(made, MatrixError):
            raise made
        return made

    async def _shared(self, key: _Key, size: Size | None, *, animated: bool) -> _Made:
        """Make a thumbnail once for all who ask for it meanwhile."""
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= MAX_WAITING:
                raise LimitExceeded(1_000, "Too many thumbnails are being made")
            task = self._tasks.spawn("thumbnail", self._make(key, size, animated=animated))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _make(self, key: _Key, size: Size | None, *, animated: bool) -> _Made:
        # Pillow is imported with the first thumbnail: a small server starts without it.
        from chamberlain.media import render

        def work() -> render.Rendered | None:
            path = self._blobs.path(key[0])
            return render.render(path, size, animated=animated, max_pixels=self._max_pixels)

        try:
            made = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except render.TooManyPixels:
            return MatrixError(ErrCode.TOO_LARGE, "The image is too large to thumbnail")
        except render.NoImage:
            return MatrixError(ErrCode.UNKNOWN, "There is no thumbnail of this file", status=400)
        if made is None:
            self._originals.set(key, True)
            return None
        await self._blobs.keep_thumbnail(*key, made.content_type, made.image, MAX_KEPT)
        return Thumbnail(made.content_type, made.image)
