"""Files of other servers that this one has fetched and kept (server-server API, Content Repository)."""

import msgspec

from chamberlain.store.media import QUARANTINED_BY, unneeded
from chamberlain.store.tx import Read, Write


class RemoteMediaRow(msgspec.Struct, frozen=True, kw_only=True):
    """A fetched file; times in ms."""

    origin: str
    media_id: str
    content_type: str
    file_name: str | None
    size: int
    sha256: str
    fetched_at: int
    last_access_at: int
    quarantined_by: str | None = None
    frozen: bool = False


class Unread(msgspec.Struct, frozen=True):
    """How many files were not read for a while, and their bytes."""

    files: int
    size: int


async def find(tx: Read, origin: str, media_id: str) -> RemoteMediaRow | None:
    """Give a fetched file, or None."""
    row = await tx.one(
        "SELECT origin, media_id, content_type, file_name, size, sha256, fetched_at, last_access_at,"
        " quarantined_by, frozen FROM remote_media WHERE origin = :origin AND media_id = :media_id",
        origin=origin,
        media_id=media_id,
    )
    if row is None:
        return None
    fields = dict(zip(RemoteMediaRow.__struct_fields__, row, strict=True))
    return RemoteMediaRow(**(fields | {"frozen": bool(fields["frozen"])}))


async def put(tx: Write, row: RemoteMediaRow) -> list[str]:
    """Keep a fetched file in place of what was fetched before; give the hashes that nothing needs any more.

    What was quarantined under this id, or has the same bytes as what was, stays so.
    """
    before = await tx.value(
        "SELECT sha256 FROM remote_media WHERE origin = :origin AND media_id = :media_id",
        origin=row.origin,
        media_id=row.media_id,
    )
    await tx.run(
        "INSERT INTO remote_media (origin, media_id, content_type, file_name, size, sha256, fetched_at,"
        " last_access_at, quarantined_by, frozen) VALUES (:origin, :media_id, :content_type, :file_name, :size,"
        f" :sha256, :fetched_at, :last_access_at, COALESCE(:quarantined_by, {QUARANTINED_BY}), :frozen)"
        " ON CONFLICT (origin, media_id)"
        " DO UPDATE SET content_type = excluded.content_type, file_name = excluded.file_name,"
        " size = excluded.size, sha256 = excluded.sha256, fetched_at = excluded.fetched_at,"
        " last_access_at = excluded.last_access_at,"
        " quarantined_by = COALESCE(remote_media.quarantined_by, excluded.quarantined_by)",
        **msgspec.structs.asdict(row),
    )
    return [] if not before else await unneeded(tx, [before])


async def touch(tx: Write, accesses: dict[tuple[str, str], int]) -> None:
    """Note when files were read last (ms), by origin and id."""
    await tx.many(
        "UPDATE remote_media SET last_access_at = :at WHERE origin = :origin AND media_id = :media_id",
        [
            {"origin": origin, "media_id": media_id, "at": at}
            for (origin, media_id), at in sorted(accesses.items())
        ],
    )


async def count_unread(tx: Read, before: int) -> Unread:
    """Count the files that `delete_unread` would delete, one after the other."""
    row = await tx.one(
        "SELECT count(*), COALESCE(SUM(size), 0) FROM remote_media"
        " WHERE last_access_at < :before AND quarantined_by IS NULL",
        before=before,
    )
    assert row is not None
    return Unread(int(row[0]), int(row[1]))


async def delete_unread(tx: Write, before: int, limit: int) -> tuple[int, list[str]]:
    """Delete at most `limit` of the files last read before a time (ms); how many, and the hashes nothing needs then.

    What is quarantined is kept: deleted, it would be fetched again.
    """
    rows = await tx.all(
        "DELETE FROM remote_media WHERE (origin, media_id) IN (SELECT origin, media_id FROM remote_media"
        " WHERE last_access_at < :before AND quarantined_by IS NULL ORDER BY last_access_at LIMIT :limit)"
        " RETURNING sha256",
        before=before,
        limit=limit,
    )
    return len(rows), await unneeded(tx, sorted({row[0] for row in rows}))
