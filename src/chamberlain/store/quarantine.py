"""Files that nobody gets because an administrator said so, uploaded ones and fetched ones."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from chamberlain.store.tx import Read, Write

FIRST_POSITION: Final = -(2**63)
"""Before every event of a room."""
_NOT_HERE: Final = ""
"""In place of the hash of a file of another server that was quarantined before it was ever fetched."""


class Wanted(msgspec.Struct, frozen=True):
    """Files: uploads by their ids, those of other servers by server."""

    uploads: Collection[str] = ()
    fetched: Mapping[str, Collection[str]] = {}


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file; times in ms. `safe`: it cannot be quarantined."""

    user_id: str | None
    content_type: str
    file_name: str | None
    size: int | None
    sha256: str | None
    created_at: int
    last_access_at: int
    quarantined_by: str | None
    safe: bool
    frozen: bool


async def find_upload(tx: Read, media_id: str) -> FileRow | None:
    """Give an upload, or an id that waits for one; None where there is none."""
    return _file(
        await tx.one(
            "SELECT user_id, content_type, file_name, size, sha256, created_at, last_access_at, quarantined_by,"
            " safe, frozen FROM media WHERE media_id = :media_id",
            media_id=media_id,
        )
    )


async def find_fetched(tx: Read, origin: str, media_id: str) -> FileRow | None:
    """Give a file of another server; None where it is neither here nor quarantined."""
    return _file(
        await tx.one(
            "SELECT NULL, content_type, file_name, size, sha256, fetched_at, last_access_at, quarantined_by,"
            " FALSE, frozen FROM remote_media WHERE origin = :origin AND media_id = :media_id",
            origin=origin,
            media_id=media_id,
        )
    )


def _file(row: Sequence[Any] | None) -> FileRow | None:
    if row is None:
        return None
    fields = dict(zip(FileRow.__struct_fields__, row, strict=True))
    flags = {"safe": bool(fields["safe"]), "frozen": bool(fields["frozen"])}
    return FileRow(**(fields | flags | {"sha256": fields["sha256"] or None}))


async def count_free(tx: Read, wanted: Wanted) -> int:
    """How many files `put` would quarantine."""
    hashes = await _hashes(tx, wanted)
    uploads: int = await tx.value(
        "SELECT COUNT(*) FROM media WHERE (media_id = ANY(:ids) OR sha256 = ANY(:hashes))"
        " AND quarantined_by IS NULL AND NOT safe",
        ids=list(wanted.uploads),
        hashes=hashes,
    )
    copies = {
        (row[0], row[1])
        for row in await tx.all(
            "SELECT origin, media_id FROM remote_media WHERE sha256 = ANY(:hashes) AND quarantined_by IS NULL",
            hashes=hashes,
        )
    }
    for origin, ids in wanted.fetched.items():
        held = {
            row[0]
            for row in await tx.all(
                "SELECT media_id FROM remote_media WHERE origin = :origin AND media_id = ANY(:ids)"
                " AND quarantined_by IS NOT NULL",
                origin=origin,
                ids=list(ids),
            )
        }
        copies |= {(origin, media_id) for media_id in set(ids) - held}
    return uploads + len(copies)


async def put(tx: Write, wanted: Wanted, by: str, now: int) -> int:
    """Quarantine files and all with the same bytes, but uploads that are safe; give how many were free before.

    Files of other servers that are not here are quarantined as well: they will not be fetched.
    """
    hashes = await _hashes(tx, wanted)
    changed = await tx.run(
        "UPDATE media SET quarantined_by = :by WHERE (media_id = ANY(:ids) OR sha256 = ANY(:hashes))"
        " AND quarantined_by IS NULL AND NOT safe",
        by=by,
        ids=list(wanted.uploads),
        hashes=hashes,
    )
    changed += await tx.run(
        "UPDATE remote_media SET quarantined_by = :by WHERE sha256 = ANY(:hashes) AND quarantined_by IS NULL",
        by=by,
        hashes=hashes,
    )
    for origin, ids in sorted(wanted.fetched.items()):
        for media_id in sorted(set(ids)):
            changed += await tx.run(
                "INSERT INTO remote_media (origin, media_id, content_type, file_name, size, sha256, fetched_at,"
                " last_access_at, quarantined_by, frozen) VALUES (:origin, :media_id, 'application/octet-stream',"
                " NULL, 0, :sha256, :now, :now, :by, FALSE) ON CONFLICT (origin, media_id)"
                " DO UPDATE SET quarantined_by = :by WHERE remote_media.quarantined_by IS NULL",
                origin=origin,
                media_id=media_id,
                sha256=_NOT_HERE,
                now=now,
                by=by,
            )
    return changed


async def lift(tx: Write, wanted: Wanted) -> int:
    """Let files and all with the same bytes be had again; give how many were quarantined."""
    hashes = await _hashes(tx, wanted)
    changed = await tx.run(
        "UPDATE media SET quarantined_by = NULL WHERE (media_id = ANY(:ids) OR sha256 = ANY(:hashes))"
        " AND quarantined_by IS NOT NULL",
        ids=list(wanted.uploads),
        hashes=hashes,
    )
    changed += await tx.run(
        "UPDATE remote_media SET quarantined_by = NULL WHERE sha256 = ANY(:hashes)"
        " AND quarantined_by IS NOT NULL",
        hashes=hashes,
    )
    for origin, ids in wanted.fetched.items():
        changed += await tx.run(
            "DELETE FROM remote_media WHERE origin = :origin AND media_id = ANY(:ids) AND sha256 = :sha256",
            origin=origin,
            ids=list(ids),
            sha256=_NOT_HERE,
        )
    return changed


async def set_safe(tx: Write, media_id: str, safe: bool) -> bool:
    """An upload can, or cannot, be quarantined from now on; False where there is none. One that is stays so."""
    return bool(
        await tx.run("UPDATE media SET safe = :safe WHERE media_id = :media_id", safe=safe, media_id=media_id)
    )


async def uploads_of(tx: Read, user_id: str, after: str, limit: int) -> list[str]:
    """Give the ids of a user's uploads that come after an id, in their order."""
    rows = await tx.all(
        "SELECT media_id FROM media WHERE user_id = :user_id AND media_id > :after ORDER BY media_id LIMIT :limit",
        user_id=user_id,
        after=after,
        limit=limit,
    )
    return [row[0] for row in rows]


async def events_with_urls(tx: Read, room_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Give (position, client form) of the events of a room that name a file, those after a position, in order."""
    rows = await tx.all(
        "SELECT position, client FROM events WHERE room_id = :room_id AND position > :after AND contains_url"
        " ORDER BY position LIMIT :limit",
        room_id=room_id,
        after=after,
        limit=limit,
    )
    return [(row[0], bytes(row[1])) for row in rows]


async def _hashes(tx: Read, wanted: Wanted) -> list[str]:
    """The hashes of files whose bytes are here, but those of uploads that are safe."""
    rows = await tx.all(
        "SELECT sha256 FROM media WHERE media_id = ANY(:ids) AND sha256 IS NOT NULL AND NOT safe",
        ids=list(wanted.uploads),
    )
    for origin, ids in wanted.fetched.items():
        rows += await tx.all(
            "SELECT sha256 FROM remote_media WHERE origin = :origin AND media_id = ANY(:ids) AND sha256 <> :not_here",
            origin=origin,
            ids=list(ids),
            not_here=_NOT_HERE,
        )
    return sorted({row[0] for row in rows})
