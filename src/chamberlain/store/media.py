"""Uploaded files: whose they are and where their bytes are (client-server API, Content repository)."""

from typing import Final

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


class MediaRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or an id that waits for one (`sha256` and `size` are None); times in ms."""

    media_id: str
    user_id: str
    content_type: str
    file_name: str | None
    size: int | None
    sha256: str | None
    created_at: int
    last_access_at: int
    quarantined_by: str | None = None
    safe: bool = False
    frozen: bool = False


QUARANTINED_BY: Final = (
    "(SELECT MIN(same.quarantined_by) FROM (SELECT quarantined_by FROM media WHERE sha256 = :sha256"
    " UNION ALL SELECT quarantined_by FROM remote_media WHERE sha256 = :sha256) same)"
)
"""Who has quarantined a file with the same bytes; NULL where nobody has."""


def _row(row: tuple[object, ...]) -> MediaRow:
    fields = dict(zip(MediaRow.__struct_fields__, row, strict=True))
    return MediaRow(**(fields | {"safe": bool(fields["safe"]), "frozen": bool(fields["frozen"])}))  # type: ignore[arg-type]


async def add(tx: Write, row: MediaRow) -> None:
    """Add a file."""
    await tx.run(
        "INSERT INTO media (media_id, user_id, content_type, file_name, size, sha256, created_at,"
        " last_access_at, quarantined_by, safe, frozen) VALUES (:media_id, :user_id, :content_type, :file_name,"
        f" :size, :sha256, :created_at, :last_access_at, COALESCE(:quarantined_by, {QUARANTINED_BY}), :safe, :frozen)",
        **msgspec.structs.asdict(row),
    )


async def reserve(tx: Write, row: MediaRow, expired: int, limit: int) -> bool:
    """Add an id that waits for its file, unless `limit` of the user's ids wait already; False then.

    Ids that were made before `expired` (ms) are forgotten first.
    """
    await tx.run("DELETE FROM media WHERE sha256 IS NULL AND created_at < :expired", expired=expired)
    waiting: int = await tx.value(
        "SELECT count(*) FROM media WHERE sha256 IS NULL AND user_id = :user_id", user_id=row.user_id
    )
    if waiting >= limit:
        return False
    await add(tx, row)
    return True


async def fill(tx: Write, row: MediaRow) -> bool:
    """Put a file where its id waits for it; False when there is a file already, or no such id of the user."""
    done = await tx.run(
        "UPDATE media SET content_type = :content_type, file_name = :file_name, size = :size, sha256 = :sha256,"
        " last_access_at = :last_access_at, frozen = :frozen,"
        f" quarantined_by = COALESCE(quarantined_by, {QUARANTINED_BY})"
        " WHERE media_id = :media_id AND user_id = :user_id AND sha256 IS NULL",
        media_id=row.media_id,
        user_id=row.user_id,
        content_type=row.content_type,
        file_name=row.file_name,
        size=row.size,
        sha256=row.sha256,
        last_access_at=row.last_access_at,
        frozen=row.frozen,
    )
    if done:
        tx.place(kinds.MEDIA, row.user_id, row.media_id)
    return bool(done)


async def find(tx: Read, media_id: str) -> MediaRow | None:
    """Give a file or a waiting id, or None."""
    row = await tx.one(
        "SELECT media_id, user_id, content_type, file_name, size, sha256, created_at, last_access_at,"
        " quarantined_by, safe, frozen FROM media WHERE media_id = :media_id",
        media_id=media_id,
    )
    return None if row is None else _row(row)


async def list_of(tx: Read, user_id: str) -> list[MediaRow]:
    """Give the files and waiting ids of a user, the oldest first."""
    rows = await tx.all(
        "SELECT media_id, user_id, content_type, file_name, size, sha256, created_at, last_access_at,"
        " quarantined_by, safe, frozen FROM media WHERE user_id = :user_id ORDER BY created_at, media_id",
        user_id=user_id,
    )
    return [_row(row) for row in rows]


async def delete_many(tx: Write, media_ids: list[str]) -> tuple[list[str], list[str]]:
    """Delete files; give the ids of those that existed, and the hashes of the bytes that nothing needs any more."""
    rows = await tx.all(
        "DELETE FROM media WHERE media_id = ANY(:media_ids) RETURNING media_id, sha256", media_ids=media_ids
    )
    hashes = sorted({row[1] for row in rows if row[1] is not None})
    return sorted(row[0] for row in rows), await unneeded(tx, hashes)


async def unneeded(tx: Read, hashes: list[str]) -> list[str]:
    """Give those of the hashes whose bytes no file has, neither an uploaded nor a fetched one."""
    needed = await tx.all(
        "SELECT sha256 FROM media WHERE sha256 = ANY(:hashes)"
        " UNION SELECT sha256 FROM remote_media WHERE sha256 = ANY(:hashes)",
        hashes=hashes,
    )
    return sorted(set(hashes) - {row[0] for row in needed})


async def touch(tx: Write, accesses: dict[str, int]) -> None:
    """Note when files were read last (ms)."""
    await tx.many(
        "UPDATE media SET last_access_at = :at WHERE media_id = :media_id",
        [{"media_id": media_id, "at": at} for media_id, at in sorted(accesses.items())],
    )
