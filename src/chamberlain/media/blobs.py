"""Bytes on disk, named by their SHA-256: written once, found by their content, shared by equal uploads."""

import asyncio
import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from chamberlain.runtime.clock import Clock
from chamberlain.runtime.rng import Rng

T = TypeVar("T")

PIECE = 1 << 20
"""Bytes that are hashed, written or read in one go in a thread."""
DISK_THREADS = 2
MAX_VECTOR = 512
"""How many pieces one system call writes (the systems allow 1,024 and more)."""
ABANDONED_AFTER_MS = 24 * 3_600_000
"""What has been coming in for longer was left behind by a crash."""


class Blob(msgspec.Struct, frozen=True):
    """Bytes that are on disk. `release` is to be called when a row refers to them."""

    sha256: str
    size: int


class BlobStore:
    """The media folder: `blobs/` by hash, `thumbnails/` by the hash of their original, `incoming/`."""

    def __init__(self, folder: Path, rng: Rng, clock: Clock) -> None:
        self._blobs = folder / "blobs"
        self._thumbnails = folder / "thumbnails"
        self._incoming = folder / "incoming"
        self._rng = rng
        self._clock = clock
        self._lock = threading.Lock()
        self._arriving: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="media-disk")

    async def start(self) -> None:
        """Make the folders and remove what a crash left half-written."""
        await self._run(self._prepare)

    def close(self) -> None:
        """Let running reads and writes end."""
        self._threads.shutdown()

    def _prepare(self) -> None:
        for folder in (self._blobs, self._thumbnails, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self._blobs / f"{number:02x}").mkdir(exist_ok=True)
        _sync_folder(self._blobs)
        oldest = (self._clock.now() - ABANDONED_AFTER_MS) / 1000
        for left_behind in self._incoming.iterdir():
            if left_behind.stat().st_mtime < oldest:
                left_behind.unlink(missing_ok=True)

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def write(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Bring bytes to the disk for good; `release` them when a row refers to them, or none ever will.

        An exception of `chunks` leaves nothing behind.
        """
        writing = _Writing(self._incoming / self._rng.token(16))
        pieces: list[bytes] = []
        waiting = 0
        try:
            async for chunk in chunks:
                pieces.append(chunk)
                waiting += len(chunk)
                if waiting >= PIECE:
                    await self._run(writing.add, pieces)
                    pieces, waiting = [], 0
            return await self._run(self._finish, writing, pieces)
        except BaseException:
            await asyncio.shield(self._run(writing.abandon))
            raise

    def _finish(self, writing: "_Writing", pieces: list[bytes]) -> Blob:
        blob = Blob(writing.finish(pieces), writing.size)
        place = self.path(blob.sha256)
        with self._lock:
            self._arriving[blob.sha256] += 1
            writing.move_to(place)
        _sync_folder(place.parent)
        return blob

    def release(self, blob: Blob) -> None:
        """Let `remove` remove these bytes again."""
        with self._lock:
            self._arriving[blob.sha256] -= 1
            if not self._arriving[blob.sha256]:
                del self._arriving[blob.sha256]

    def path(self, sha256: str) -> Path:
        """Where the bytes are."""
        return self._blobs / sha256[:2] / sha256

    async def has(self, sha256: str) -> bool:
        """Whether the bytes are there."""
        return await self._run(self.path(sha256).exists)

    async def read(self, sha256: str, start: int, length: int) -> bytes | AsyncIterator[bytes]:
        """A part of the bytes: at once where it is one piece, as a stream where it is more.

        Raises FileNotFoundError where the file is gone.
        """
        path = self.path(sha256)
        if length <= PIECE:
            return await self._run(_read_piece, path, start, length)
        return self._stream(await self._run(_open, path, start), length)

    async def _stream(self, file: BinaryIO, length: int) -> AsyncIterator[bytes]:
        with file:
            while length > 0:
                piece = await self._run(file.read, min(length, PIECE))
                if not piece:
                    raise EOFError("a media file is shorter than it was")
                length -= len(piece)
                yield piece

    async def remove(self, hashes: list[str]) -> None:
        """Remove bytes that no row refers to, with their thumbnails; what is arriving again is left alone."""
        for sha256 in hashes:
            await self._run(self._remove, sha256)

    def _remove(self, sha256: str) -> None:
        with self._lock:
            if self._arriving[sha256]:
                return
            self.path(sha256).unlink(missing_ok=True)
        shutil.rmtree(self._thumbnail_folder(sha256), ignore_errors=True)

    def _thumbnail_folder(self, sha256: str) -> Path:
        return self._thumbnails / sha256[:2] / sha256

    async def find_thumbnail(self, sha256: str, name: str) -> tuple[str, bytes] | None:
        """The content type and the bytes of a thumbnail that was kept, or None."""
        return await self._run(_find_thumbnail, self._thumbnail_folder(sha256), name)

    async def keep_thumbnail(
        self, sha256: str, name: str, content_type: str, image: bytes, limit: int
    ) -> None:
        """Keep a thumbnail, unless `limit` of the same original are there."""
        folder = self._thumbnail_folder(sha256)
        temporary = self._incoming / self._rng.token(16)
        await self._run(_keep_thumbnail, folder, temporary, name, content_type, image, limit)


class _Writing:
    """A file under way to its place. Its methods run in a thread, one after the other."""

    def __init__(self, temporary: Path) -> None:
        self.size = 0
        self._temporary = temporary
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None

    def add(self, pieces: list[bytes]) -> None:
        """Hash and write."""
        if self._file is None:
            self._file = self._temporary.open("xb", buffering=0)
        for piece in pieces:
            self._hash.update(piece)
            self.size += len(piece)
        _write_all(self._file, pieces)

    def finish(self, pieces: list[bytes]) -> str:
        """Write the last pieces and bring everything to the disk; the hash."""
        self.add(pieces)
        assert self._file is not None
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def move_to(self, place: Path) -> None:
        """Give the file its name; equal bytes that are there already stay."""
        if place.exists():
            self._temporary.unlink()
        else:
            self._temporary.rename(place)

    def abandon(self) -> None:
        """Remove what was written."""
        if self._file is not None:
            self._file.close()
        self._temporary.unlink(missing_ok=True)


def _write_all(file: BinaryIO, pieces: list[bytes]) -> None:
    """Write pieces without joining them."""
    left = [memoryview(piece) for piece in pieces]
    while left:
        written = os.writev(file.fileno(), left[:MAX_VECTOR])
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, start: int) -> BinaryIO:
    file = path.open("rb", buffering=0)
    file.seek(start)
    return file


def _read_piece(path: Path, start: int, length: int) -> bytes:
    with _open(path, start) as file:
        return file.read(length)


def _find_thumbnail(folder: Path, name: str) -> tuple[str, bytes] | None:
    for content_type, suffix in _SUFFIXES.items():
        try:
            return content_type, (folder / f"{name}.{suffix}").read_bytes()
        except FileNotFoundError:
            continue
    return None


_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def _keep_thumbnail(
    folder: Path, temporary: Path, name: str, content_type: str, image: bytes, limit: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if sum(1 for _ in folder.iterdir()) < limit:
        temporary.write_bytes(image)
        temporary.rename(folder / f"{name}.{_SUFFIXES[content_type]}")
