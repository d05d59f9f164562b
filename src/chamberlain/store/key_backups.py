"""Server-side key backups (client-server API, Server-side key backups)."""

from typing import LiteralString, NamedTuple

from chamberlain.store.tx import Read, Write


class Backup(NamedTuple):
    """One version of a user's backup; `etag` changes with its sessions, `keys` counts them."""

    version: int
    algorithm: str
    auth_data: bytes
    etag: int
    keys: int


class Session(NamedTuple):
    """One session in a backup; `session_data` is its JSON object."""

    room_id: str
    session_id: str
    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: bytes


async def create(tx: Write, user_id: str, algorithm: str, auth_data: bytes) -> int | None:
    """Make a new version and give its number; None where another request made one in the same moment."""
    last = await tx.value("SELECT max(version) FROM key_backups WHERE user_id = :user_id", user_id=user_id)
    version: int = (last or 0) + 1
    made = await tx.run(
        "INSERT INTO key_backups (user_id, version, algorithm, auth_data, etag, keys, deleted)"
        " VALUES (:user_id, :version, :algorithm, :auth_data, 0, 0, FALSE)"
        " ON CONFLICT (user_id, version) DO NOTHING",
        user_id=user_id,
        version=version,
        algorithm=algorithm,
        auth_data=auth_data,
    )
    return version if made else None


async def find_current(tx: Read, user_id: str) -> Backup | None:
    """Give the newest version, or None."""
    row = await tx.one(
        "SELECT version, algorithm, auth_data, etag, keys FROM key_backups"
        " WHERE user_id = :user_id AND NOT deleted ORDER BY version DESC LIMIT 1",
        user_id=user_id,
    )
    return None if row is None else Backup(*row)


async def find(tx: Read, user_id: str, version: int) -> Backup | None:
    """Give a version that was not deleted, or None."""
    row = await tx.one(
        "SELECT version, algorithm, auth_data, etag, keys FROM key_backups"
        " WHERE user_id = :user_id AND version = :version AND NOT deleted",
        user_id=user_id,
        version=version,
    )
    return None if row is None else Backup(*row)


async def set_auth_data(tx: Write, user_id: str, version: int, auth_data: bytes) -> bool:
    """Replace the auth data of a version; False when there is no such version."""
    return bool(
        await tx.run(
            "UPDATE key_backups SET auth_data = :auth_data"
            " WHERE user_id = :user_id AND version = :version AND NOT deleted",
            user_id=user_id,
            version=version,
            auth_data=auth_data,
        )
    )


async def delete(tx: Write, user_id: str, version: int) -> bool:
    """Delete a version with its sessions; False when there never was one. The number is not given again."""
    known = await tx.run(
        "UPDATE key_backups SET deleted = TRUE, auth_data = :nothing, keys = 0"
        " WHERE user_id = :user_id AND version = :version",
        user_id=user_id,
        version=version,
        nothing=b"{}",
    )
    await tx.run(
        "DELETE FROM key_backup_sessions WHERE user_id = :user_id AND version = :version",
        user_id=user_id,
        version=version,
    )
    return bool(known)


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete every version of a user."""
    await tx.run(
        "UPDATE key_backups SET deleted = TRUE, auth_data = :nothing, keys = 0 WHERE user_id = :user_id",
        user_id=user_id,
        nothing=b"{}",
    )
    await tx.run("DELETE FROM key_backup_sessions WHERE user_id = :user_id", user_id=user_id)


async def put_sessions(tx: Write, user_id: str, version: int, sessions: list[Session]) -> Backup | None:
    """Put sessions into the newest version, each where it is better than the one there.

    Gives the newest version as it is now; nothing was put where that is not `version`. None: there is none.
    """
    row = await tx.one(
        "SELECT version, algorithm, auth_data, etag, keys FROM key_backups"
        " WHERE user_id = :user_id AND NOT deleted ORDER BY version DESC LIMIT 1 FOR UPDATE",
        user_id=user_id,
    )
    backup = None if row is None else Backup(*row)
    if backup is None or backup.version != version:
        return backup
    there = await _quality(tx, user_id, version, sessions)
    better = [
        session
        for session in sessions
        if (session.room_id, session.session_id) not in there
        or is_better(_rank(session), there[session.room_id, session.session_id])
    ]
    if not better:
        return backup
    added = sum((session.room_id, session.session_id) not in there for session in better)
    await tx.many(
        "INSERT INTO key_backup_sessions (user_id, version, room_id, session_id, first_message_index,"
        " forwarded_count, is_verified, session_data) VALUES (:user_id, :version, :room_id, :session_id,"
        " :first_message_index, :forwarded_count, :is_verified, :session_data)"
        " ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET"
        " first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,"
        " is_verified = excluded.is_verified, session_data = excluded.session_data",
        [{"user_id": user_id, "version": version, **session._asdict()} for session in better],
    )
    return await _touch(tx, user_id, backup, added)


Rank = tuple[bool, int, int]
"""Whether a session is verified, its first message index, how often it was forwarded."""


def _rank(session: Session) -> Rank:
    return bool(session.is_verified), session.first_message_index, session.forwarded_count


def is_better(new: Rank, old: Rank) -> bool:
    """Whether a session replaces another: verified before not, then the lower index, then fewer forwards."""
    return (not new[0], *new[1:]) < (not old[0], *old[1:])


async def _quality(
    tx: Read, user_id: str, version: int, sessions: list[Session]
) -> dict[tuple[str, str], Rank]:
    rows = await tx.all(
        "SELECT room_id, session_id, is_verified, first_message_index, forwarded_count"
        " FROM key_backup_sessions WHERE user_id = :user_id AND version = :version"
        " AND room_id = ANY(:room_ids) AND session_id = ANY(:session_ids)",
        user_id=user_id,
        version=version,
        room_ids=sorted({session.room_id for session in sessions}),
        session_ids=sorted({session.session_id for session in sessions}),
    )
    return {(row[0], row[1]): (bool(row[2]), row[3], row[4]) for row in rows}


async def _touch(tx: Write, user_id: str, backup: Backup, added: int) -> Backup:
    await tx.run(
        "UPDATE key_backups SET etag = etag + 1, keys = keys + :added"
        " WHERE user_id = :user_id AND version = :version",
        user_id=user_id,
        version=backup.version,
        added=added,
    )
    return backup._replace(etag=backup.etag + 1, keys=backup.keys + added)


def _scope(room_id: str | None, session_id: str | None) -> LiteralString:
    """The further conditions for one room, or for one session of it."""
    if room_id is None:
        return ""
    return " AND room_id = :room_id" + ("" if session_id is None else " AND session_id = :session_id")


async def sessions_of(
    tx: Read, user_id: str, version: int, room_id: str | None = None, session_id: str | None = None
) -> list[Session] | None:
    """Give the sessions of a version, of one room, or the one; None when there is no such version."""
    if await find(tx, user_id, version) is None:
        return None
    rows = await tx.all(
        "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data"
        " FROM key_backup_sessions WHERE user_id = :user_id AND version = :version"
        + _scope(room_id, session_id)
        + " ORDER BY room_id, session_id",
        user_id=user_id,
        version=version,
        room_id=room_id,
        session_id=session_id,
    )
    return [Session(*row)._replace(is_verified=bool(row[4])) for row in rows]


async def delete_sessions(
    tx: Write, user_id: str, version: int, room_id: str | None = None, session_id: str | None = None
) -> Backup | None:
    """Delete the sessions of a version, of one room, or the one; give the version, None when there is none."""
    row = await tx.one(
        "SELECT version, algorithm, auth_data, etag, keys FROM key_backups"
        " WHERE user_id = :user_id AND version = :version AND NOT deleted FOR UPDATE",
        user_id=user_id,
        version=version,
    )
    if row is None:
        return None
    gone = await tx.run(
        "DELETE FROM key_backup_sessions WHERE user_id = :user_id AND version = :version"
        + _scope(room_id, session_id),
        user_id=user_id,
        version=version,
        room_id=room_id,
        session_id=session_id,
    )
    backup = Backup(*row)
    return await _touch(tx, user_id, backup, -gone) if gone else backup
