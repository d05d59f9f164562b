"""How long fetched files are kept, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chamberlain.config.media import Media as Settings
from chamberlain.media import remote_files
from chamberlain.media.accesses import FLUSH_EVERY_S
from chamberlain.media.ports import RemoteFile
from chamberlain.media.wiring import Media, build_media
from chamberlain.runtime.rng import Rng
from chamberlain.store.database import Database
from tests.support.clock import FakeClock
from tests.support.server import until

DAY_S = 86_400


class Elsewhere:
    """A server whose every file holds its own id."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, origin: str, media_id: str, wait_ms: int) -> RemoteFile:
        self.asked.append(media_id)

        async def chunks() -> AsyncIterator[bytes]:
            yield media_id.encode()

        async def close() -> None:
            pass

        return RemoteFile("text/plain", None, chunks(), close)


async def read(media: Media, media_id: str) -> bytes:
    """A small file."""
    file = await media.files.get("far.test", media_id, 0, authenticated=True)
    found = await media.files.read(file, 0, file.size)
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("keep_days", [2, 0])
async def test_what_nobody_reads_is_forgotten(
    db: Database, clock: FakeClock, tmp_path: Path, keep_days: int
) -> None:
    """After the days of the settings, with its bytes, and not while it is read; 0 keeps everything."""
    elsewhere = Elsewhere()
    settings, folder = Settings(remote_cache_days=keep_days), tmp_path / "media"
    media = build_media(db, clock, Rng(), settings, folder, "near.test", elsewhere)
    await media.start()
    try:
        await clock.advance(remote_files.FIRST_S + 1)
        assert (await read(media, "read"), await read(media, "unread")) == (b"read", b"unread")
        await clock.advance(1.5 * DAY_S)
        assert await read(media, "read") == b"read"
        await clock.advance(FLUSH_EVERY_S)
        await clock.advance(0.8 * DAY_S)

        async def is_settled() -> bool:
            return len([file for file in folder.rglob("*") if file.is_file()]) == (1 if keep_days else 2)

        await until(is_settled)
        assert (await read(media, "read"), await read(media, "unread")) == (b"read", b"unread")
        assert elsewhere.asked == ["read", "unread"] + (["unread"] if keep_days else [])
    finally:
        await media.close()
