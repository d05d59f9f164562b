"""Quarantined files in the store."""

from chamberlain.store import media, quarantine, remote_media
from chamberlain.store.database import Database
from chamberlain.store.media import MediaRow
from chamberlain.store.quarantine import Wanted
from chamberlain.store.remote_media import RemoteMediaRow

ALICE = "@alice:a.test"
ROOT = "@root:a.test"


async def upload(db: Database, media_id: str, sha256: str | None, *, safe: bool = False) -> None:
    """An upload of Alice's."""
    await db.write(
        media.add,
        MediaRow(
            media_id=media_id,
            user_id=ALICE,
            content_type="text/plain",
            file_name=None,
            size=1,
            sha256=sha256,
            created_at=1,
            last_access_at=1,
            safe=safe,
        ),
    )


async def fetched(db: Database, media_id: str, sha256: str) -> list[str]:
    """A file of b.test."""
    return await db.write(
        remote_media.put,
        RemoteMediaRow(
            origin="b.test",
            media_id=media_id,
            content_type="text/plain",
            file_name=None,
            size=1,
            sha256=sha256,
            fetched_at=1,
            last_access_at=1,
        ),
    )


async def held(db: Database) -> set[str]:
    """The ids of the files that are in quarantine."""
    mine = {row.media_id for row in await db.read(media.list_of, ALICE) if row.quarantined_by == ROOT}
    theirs = {"far", "same", "later", "unknown"}
    found = {name: await db.read(quarantine.find_fetched, "b.test", name) for name in theirs}
    return mine | {name for name, row in found.items() if row is not None and row.quarantined_by == ROOT}


async def test_what_has_the_same_bytes_is_the_same_file(db: Database) -> None:
    """Copies are quarantined too, and let out with it; protected ones are not."""
    await upload(db, "one", "x")
    await upload(db, "copy", "x")
    await upload(db, "kept", "x", safe=True)
    await upload(db, "other", "y")
    await fetched(db, "far", "y")
    await fetched(db, "same", "x")

    assert await db.read(quarantine.count_free, Wanted(["one"])) == 3
    assert await db.write(quarantine.put, Wanted(["one"]), ROOT, 5) == 3
    assert await db.write(quarantine.put, Wanted(["one", "kept"]), ROOT, 5) == 0
    assert await held(db) == {"one", "copy", "same"}

    assert await db.read(quarantine.count_free, Wanted(fetched={"b.test": ["far"]})) == 2
    assert await db.write(quarantine.put, Wanted(fetched={"b.test": ["far"]}), ROOT, 5) == 2
    assert await db.write(quarantine.lift, Wanted(fetched={"b.test": ["same"]})) == 3
    assert await held(db) == {"other", "far"}


async def test_what_comes_later(db: Database) -> None:
    """A copy is quarantined as it comes, uploaded or fetched."""
    await upload(db, "one", "x")
    await upload(db, "waiting", None)
    await db.write(quarantine.put, Wanted(["one"]), ROOT, 5)

    await upload(db, "copy", "x")
    await fetched(db, "later", "x")
    row = await db.read(media.find, "waiting")
    assert row is not None
    assert await db.write(
        media.fill,
        MediaRow(**{f: getattr(row, f) for f in row.__struct_fields__} | {"sha256": "x", "size": 1}),
    )
    await upload(db, "other", "y")
    assert await held(db) == {"one", "copy", "later", "waiting"}


async def test_a_file_that_was_never_fetched(db: Database) -> None:
    """It is in quarantine when it comes; let out again, nothing is left of it."""
    wanted = Wanted(fetched={"b.test": ["unknown"]})
    assert await db.read(quarantine.count_free, wanted) == 1
    assert await db.write(quarantine.put, wanted, ROOT, 5) == 1
    assert await db.read(quarantine.count_free, wanted) == 0
    assert await held(db) == {"unknown"}
    assert await db.write(quarantine.lift, wanted) == 1
    assert await db.read(quarantine.find_fetched, "b.test", "unknown") is None

    await db.write(quarantine.put, wanted, ROOT, 5)
    assert await fetched(db, "unknown", "z") == []
    assert await held(db) == {"unknown"}


async def test_protecting(db: Database) -> None:
    """What is protected cannot be quarantined; what is quarantined stays so."""
    await upload(db, "one", "x")
    assert await db.write(quarantine.set_safe, "one", True)
    assert await db.write(quarantine.put, Wanted(["one"]), ROOT, 5) == 0
    assert await db.write(quarantine.set_safe, "one", False)
    assert await db.write(quarantine.put, Wanted(["one"]), ROOT, 5) == 1
    assert await db.write(quarantine.set_safe, "one", True)
    row = await db.read(quarantine.find_upload, "one")
    assert row is not None and row.safe and row.quarantined_by == ROOT
    assert not await db.write(quarantine.set_safe, "none", True)


async def test_a_users_uploads_in_pages(db: Database) -> None:
    """All of them, once."""
    for media_id in ("c", "a", "b"):
        await upload(db, media_id, media_id)
    assert await db.read(quarantine.uploads_of, ALICE, "", 2) == ["a", "b"]
    assert await db.read(quarantine.uploads_of, ALICE, "b", 2) == ["c"]
