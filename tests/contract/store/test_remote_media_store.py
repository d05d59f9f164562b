"""Rows of fetched files, on both engines."""

import msgspec

from chamberlain.store import media, remote_media
from chamberlain.store.database import Database
from chamberlain.store.remote_media import RemoteMediaRow, Unread
from tests.contract.store.test_media_store import row as uploaded


def fetched(media_id: str, sha256: str = "aa", at: int = 10, origin: str = "far.test") -> RemoteMediaRow:
    """A fetched file."""
    return RemoteMediaRow(
        origin=origin,
        media_id=media_id,
        content_type="text/plain",
        file_name="ä",
        size=3,
        sha256=sha256,
        fetched_at=at,
        last_access_at=at,
    )


async def test_a_file_is_known_by_its_server_and_its_id(db: Database) -> None:
    """Every field comes back; the same id of another server is another file."""
    odd = msgspec.structs.replace(fetched("m"), quarantined_by="@root:near.test", frozen=True, file_name=None)
    assert await db.write(remote_media.put, odd) == []
    other = fetched("m", "bb", origin="else.test")
    assert await db.write(remote_media.put, other) == []

    assert await db.read(remote_media.find, "far.test", "m") == odd
    assert await db.read(remote_media.find, "else.test", "m") == other
    assert await db.read(remote_media.find, "far.test", "none") is None


async def test_what_is_fetched_anew_takes_the_place_of_the_old(db: Database) -> None:
    """The bytes of before are told where nothing else has them; a quarantine stays."""
    await db.write(
        remote_media.put, msgspec.structs.replace(fetched("m", "aa"), quarantined_by="@root:near.test")
    )
    await db.write(media.add, uploaded("u", sha256="bb"))

    assert await db.write(remote_media.put, fetched("m", "aa", 20)) == []
    assert await db.write(remote_media.put, fetched("m", "bb", 30)) == ["aa"]
    assert await db.write(remote_media.put, fetched("m", "cc", 40)) == []

    found = await db.read(remote_media.find, "far.test", "m")
    assert found == msgspec.structs.replace(fetched("m", "cc", 40), quarantined_by="@root:near.test")


async def test_what_nobody_reads_is_deleted_in_slices(db: Database) -> None:
    """The oldest first; bytes that an upload or another file has are needed; what is quarantined stays."""
    await db.write(media.add, uploaded("u", sha256="aa"))
    for file in (
        fetched("m1", "aa", 1),
        fetched("m2", "bb", 2),
        fetched("m3", "bb", 3),
        fetched("m4", "cc", 9),
    ):
        await db.write(remote_media.put, file)
    await db.write(
        remote_media.put, msgspec.structs.replace(fetched("q", "dd", 1), quarantined_by="@root:near.test")
    )
    assert await db.read(remote_media.count_unread, 5) == Unread(3, 9)
    assert await db.read(remote_media.count_unread, 1) == Unread(0, 0)

    assert await db.write(remote_media.delete_unread, 5, 2) == (2, [])
    assert await db.write(remote_media.delete_unread, 5, 2) == (1, ["bb"])
    assert await db.write(remote_media.delete_unread, 5, 2) == (0, [])

    assert await db.read(remote_media.find, "far.test", "q") is not None
    await db.write(remote_media.touch, {("far.test", "m4"): 99, ("far.test", "none"): 99})
    found = await db.read(remote_media.find, "far.test", "m4")
    assert found is not None and found.last_access_at == 99


async def test_deleting_an_upload_leaves_the_bytes_of_a_fetched_file(db: Database) -> None:
    """Both kinds of files share their bytes."""
    await db.write(media.add, uploaded("u", sha256="aa"))
    await db.write(remote_media.put, fetched("m", "aa"))

    assert await db.write(media.delete_many, ["u"]) == (["u"], [])
    assert await db.write(remote_media.delete_unread, 99, 10) == (1, ["aa"])
