"""Rows of media, on both engines."""

import asyncio

import msgspec

from chamberlain.store import kinds, media
from chamberlain.store.connect import open_database
from chamberlain.store.database import Database
from chamberlain.store.media import MediaRow
from chamberlain.store.tx import Change
from tests.support.clock import FakeClock

ALICE, BOB = "@alice:example.org", "@bob:example.org"


def row(media_id: str, user_id: str = ALICE, sha256: str | None = "aa", created_at: int = 10) -> MediaRow:
    """A file, or an id that waits for one."""
    return MediaRow(
        media_id=media_id,
        user_id=user_id,
        content_type="text/plain",
        file_name=None,
        size=None if sha256 is None else 3,
        sha256=sha256,
        created_at=created_at,
        last_access_at=created_at,
    )


async def test_a_file_is_found_as_it_was_added(db: Database) -> None:
    """Every field comes back; an unknown id is None."""
    odd = msgspec.structs.replace(row("m1"), file_name="ä", quarantined_by=BOB, safe=True, frozen=True)
    await db.write(media.add, odd)
    await db.write(media.add, row("m0", created_at=20))
    assert await db.read(media.find, "m1") == odd
    assert await db.read(media.find, "none") is None
    assert [found.media_id for found in await db.read(media.list_of, ALICE)] == ["m1", "m0"]
    assert await db.read(media.list_of, BOB) == []
    await db.write(media.touch, {"m1": 99, "none": 99})
    found = await db.read(media.find, "m1")
    assert found is not None and found.last_access_at == 99


async def test_waiting_ids_are_limited_and_expire(db: Database) -> None:
    """The limit counts the user's ids that still wait; expired ones are forgotten, files are not."""
    await db.write(media.add, row("file"))
    assert await db.write(media.reserve, row("w1", sha256=None), 0, 2)
    assert await db.write(media.reserve, row("w2", sha256=None, created_at=20), 0, 2)
    assert not await db.write(media.reserve, row("w3", sha256=None, created_at=20), 0, 2)
    assert await db.write(media.reserve, row("w3", BOB, sha256=None, created_at=20), 0, 2)
    assert await db.write(media.reserve, row("w4", sha256=None, created_at=20), 15, 2)
    assert [found.media_id for found in await db.read(media.list_of, ALICE)] == ["file", "w2", "w4"]


async def test_a_waiting_id_is_filled_once(db: Database, database_url: str, clock: FakeClock) -> None:
    """Of eight connections one wins; another user cannot; the winner is announced."""
    told: list[Change] = []
    await db.write(media.reserve, row("w", sha256=None), 0, 2)
    assert not await db.write(media.fill, row("w", BOB))
    assert not await db.write(media.fill, row("none"))
    databases = [await open_database(database_url, clock.now, synchronous="off") for _ in range(8)]
    for database in databases:
        database.subscribe(told.extend)
    done = await asyncio.gather(
        *(database.write(media.fill, row("w", sha256=f"{n:02}")) for n, database in enumerate(databases))
    )
    for database in databases:
        await database.close()
    assert sorted(done) == [False] * 7 + [True]
    found = await db.read(media.find, "w")
    assert found is not None and found.sha256 == f"{done.index(True):02}"
    assert [(c.kind, c.entity, c.ref) for c in told] == [(kinds.MEDIA, ALICE, "w")]


async def test_deleting_tells_which_bytes_nothing_needs(db: Database) -> None:
    """Bytes that another file shares are still needed; a second deletion finds nothing."""
    for one in (row("a1", sha256="aa"), row("a2", sha256="aa"), row("b", sha256="bb"), row("w", sha256=None)):
        await db.write(media.add, one)
    assert await db.write(media.delete_many, ["a1", "b", "w", "none"]) == (["a1", "b", "w"], ["bb"])
    assert await db.write(media.delete_many, ["a1", "b"]) == ([], [])
    assert await db.write(media.delete_many, ["a2"]) == (["a2"], ["aa"])
