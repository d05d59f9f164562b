"""Server-side key backups (client-server API, Server-side key backups)."""

from collections.abc import Mapping

import msgspec
import orjson

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import InvalidParam, MatrixError, NotFound
from chamberlain.matrix.types import JsonObject
from chamberlain.store import key_backups
from chamberlain.store.database import Database
from chamberlain.store.key_backups import Backup, Session

TRIES = 10


class KeyData(msgspec.Struct):
    """One session as a client uploads it."""

    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: JsonObject


Sessions = Mapping[str, Mapping[str, KeyData]]
"""Sessions by room id and session id."""


class Backups:
    """The key backups of users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def create(self, user_id: str, algorithm: str, auth_data: JsonObject) -> str:
        """Make a new version, from now on the current one, and give its name."""
        stored = orjson.dumps(auth_data)
        for _ in range(TRIES):
            version = await self._db.write(key_backups.create, user_id, algorithm, stored)
            if version is not None:
                return str(version)
        raise MatrixError(ErrCode.UNKNOWN, "Backups are being created by other requests", status=409)

    async def get(self, user_id: str, version: str | None = None) -> bytes:
        """The answer for a version, the current one where none is named.

        Raises:
            NotFound: there is no such version.
        """
        if version is None:
            backup = await self._db.read(key_backups.find_current, user_id)
        else:
            backup = await self._db.read(key_backups.find, user_id, _number(version))
        if backup is None:
            raise NotFound("No current backup version" if version is None else "Unknown backup version")
        return orjson.dumps(
            {
                "algorithm": backup.algorithm,
                "auth_data": orjson.Fragment(backup.auth_data),
                "count": backup.keys,
                "etag": str(backup.etag),
                "version": str(backup.version),
            }
        )

    async def update(self, user_id: str, version: str, algorithm: str, auth_data: JsonObject) -> None:
        """Replace the auth data of a version.

        Raises:
            NotFound: there is no such version.
            InvalidParam: it has another algorithm.
        """
        backup = await self._db.read(key_backups.find, user_id, _number(version))
        if backup is None:
            raise NotFound("Unknown backup version")
        if backup.algorithm != algorithm:
            raise InvalidParam("The algorithm does not match")
        stored = orjson.dumps(auth_data)
        if not await self._db.write(key_backups.set_auth_data, user_id, backup.version, stored):
            raise NotFound("Unknown backup version")

    async def delete(self, user_id: str, version: str) -> None:
        """Delete a version with its sessions; harmless when it was deleted before.

        Raises:
            NotFound: there never was such a version.
        """
        if not await self._db.write(key_backups.delete, user_id, _number(version)):
            raise NotFound("Unknown backup version")

    async def put(self, user_id: str, version: str, sessions: Sessions) -> Backup:
        """Put sessions into the current version, each where it is better than the one there.

        Raises:
            NotFound: there is no backup.
            MatrixError: M_WRONG_ROOM_KEYS_VERSION, with `current_version`, where `version` is not the current one.
        """
        rows = [
            _session(room_id, session_id, data)
            for room_id, by_session in sessions.items()
            for session_id, data in by_session.items()
        ]
        number = _number(version)
        backup = await self._db.write(key_backups.put_sessions, user_id, number, rows)
        if backup is None:
            raise NotFound("There is no backup")
        if backup.version != number:
            raise MatrixError(
                ErrCode.WRONG_ROOM_KEYS_VERSION, "Wrong backup version", current_version=str(backup.version)
            )
        return backup

    async def sessions(self, user_id: str, version: str) -> bytes:
        """The answer for all sessions of a version; raises NotFound when there is no such version."""
        rows = await self._sessions(user_id, version)
        rooms: dict[str, dict[str, dict[str, object]]] = {}
        for row in rows:
            rooms.setdefault(row.room_id, {"sessions": {}})["sessions"][row.session_id] = _shown(row)
        return orjson.dumps({"rooms": rooms})

    async def sessions_of_room(self, user_id: str, version: str, room_id: str) -> bytes:
        """The answer for the sessions of a room; raises NotFound when there is no such version."""
        rows = await self._sessions(user_id, version, room_id)
        return orjson.dumps({"sessions": {row.session_id: _shown(row) for row in rows}})

    async def session(self, user_id: str, version: str, room_id: str, session_id: str) -> bytes:
        """The answer for one session; raises NotFound when there is no such session or version."""
        rows = await self._sessions(user_id, version, room_id, session_id)
        if not rows:
            raise NotFound("Key not found")
        return orjson.dumps(_shown(rows[0]))

    async def _sessions(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> list[Session]:
        read = self._db.snapshot if session_id is None else self._db.read
        rows = await read(key_backups.sessions_of, user_id, _number(version), room_id, session_id)
        if rows is None:
            raise NotFound("Unknown backup version")
        return rows

    async def delete_sessions(
        self, user_id: str, version: str, room_id: str | None = None, session_id: str | None = None
    ) -> Backup:
        """Delete the sessions of a version, of one room of it, or the one.

        Raises:
            NotFound: there is no such version.
        """
        number = _number(version)
        backup = await self._db.write(key_backups.delete_sessions, user_id, number, room_id, session_id)
        if backup is None:
            raise NotFound("Unknown backup version")
        return backup


def _number(version: str) -> int:
    """The number of a version; raises NotFound for what never was the name of one."""
    if not version.isascii() or not version.isdigit() or len(version) > 18:
        raise NotFound("Unknown backup version")
    return int(version)


def _session(room_id: str, session_id: str, data: KeyData) -> Session:
    return Session(
        room_id,
        session_id,
        data.first_message_index,
        data.forwarded_count,
        data.is_verified,
        orjson.dumps(data.session_data),
    )


def _shown(session: Session) -> dict[str, object]:
    return {
        "first_message_index": session.first_message_index,
        "forwarded_count": session.forwarded_count,
        "is_verified": session.is_verified,
        "session_data": orjson.Fragment(session.session_data),
    }
