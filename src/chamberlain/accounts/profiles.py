"""Profiles: what users tell everybody about themselves (client-server API, Profiles)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import orjson

from chamberlain.accounts.requester import Requester
from chamberlain.accounts.users import Users
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, InvalidParam, MatrixError, NotFound
from chamberlain.matrix.ids import parse_user_id
from chamberlain.matrix.remote_errors import Refused, RemoteError, for_client
from chamberlain.runtime.cache import Cache
from chamberlain.store import kinds
from chamberlain.store import profiles as rows
from chamberlain.store.database import Database
from chamberlain.store.tx import Change

DISPLAYNAME: Final = "displayname"
AVATAR_URL: Final = "avatar_url"
TIME_ZONE: Final = "m.tz"

MAX_PROFILE_BYTES: Final = 65_536
MAX_KEY_BYTES: Final = 255
MAX_DISPLAYNAME: Final = 256
MAX_AVATAR_URL: Final = 1_000
CACHED: Final = 20_000

_KEY = re.compile(r"[a-z][a-z0-9_.-]*")
_TEXTS: Final = {DISPLAYNAME: MAX_DISPLAYNAME, AVATAR_URL: MAX_AVATAR_URL, TIME_ZONE: 255}
"""Fields that are strings, and how many characters they have at most."""


Names = tuple[str | None, str | None]
"""Display name and avatar URL, None where there is none: what goes into member events."""


class RemoteProfiles(Protocol):
    """Where the profiles of other servers' users are."""

    async def get(self, user_id: str) -> Mapping[str, bytes]:
        """Give every field of a profile, each as JSON; raises RemoteError."""
        ...


class Profiles:
    """Reads profiles, and changes those of local users."""

    def __init__(self, db: Database, users: Users, remote: RemoteProfiles) -> None:
        self._db = db
        self._users = users
        self._remote = remote
        self._names: Cache[str, Names] = Cache(CACHED, "profiles")
        db.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.PROFILE:
                self._names.pop(change.entity)

    async def in_rooms(self, user_id: str) -> Names:
        """The display name and the avatar URL that a local user's member events carry; none for anyone else."""
        return await self._names.fetch(user_id, self._read_names)

    async def _read_names(self, user_id: str) -> Names:
        fields = await self._db.read(rows.get, user_id)
        return _text(fields.get(DISPLAYNAME)), _text(fields.get(AVATAR_URL))

    async def get(self, user_id: str) -> Mapping[str, msgspec.Raw]:
        """Every field of a profile, each as JSON; where another server cannot be asked, those that rooms tell.

        Raises:
            InvalidParam: the user id is none.
            NotFound: there is no such user, or nothing in the profile.
            Forbidden: the user's server does not show it.
            MatrixError: UNKNOWN (502) where the user's server cannot be asked, and no room tells of them.
        """
        fields = await self._fields(parse_user_id(user_id))
        if not fields:
            raise NotFound("There is no such profile")
        return {field: msgspec.Raw(value) for field, value in fields.items()}

    async def get_field(self, user_id: str, field: str) -> msgspec.Raw:
        """One field of a profile, as JSON.

        Raises:
            InvalidParam: the user id or the field's name is none.
            NotFound: there is no such user, or the profile has no such field.
            Forbidden, MatrixError: as `get`.
        """
        check_key(field)
        fields = await self._fields(parse_user_id(user_id))
        if field not in fields:
            raise NotFound("There is no such profile field")
        return msgspec.Raw(fields[field])

    async def for_servers(self, user_id: str, field: str | None) -> Mapping[str, msgspec.Raw]:
        """A local user's profile, or one field of it where they have that, as other servers get it.

        Raises:
            InvalidParam: it is no user id of this server.
            NotFound: there is no such user.
        """
        local = self._users.parse_local(parse_user_id(user_id))
        if not await self._users.exists(local):
            raise NotFound("There is no such user")
        fields = await self._db.read(rows.get, local)
        return {name: msgspec.Raw(value) for name, value in fields.items() if field in (None, name)}

    async def _fields(self, user_id: str) -> Mapping[str, bytes]:
        if self._users.is_local(user_id):
            return await self._db.read(rows.get, user_id)
        try:
            return await self._remote.get(user_id)
        except Refused as error:
            if error.status == 404:
                return {}
            raise for_client(error) from None
        except RemoteError as error:
            return await self._seen(user_id, error)

    async def _seen(self, user_id: str, error: RemoteError) -> Mapping[str, bytes]:
        """What rooms tell of a user whose server cannot be asked."""
        seen = await self._db.read(rows.seen_in_rooms, user_id)
        if seen is None:
            raise for_client(error)
        texts = zip((DISPLAYNAME, AVATAR_URL), seen, strict=True)
        return {field: orjson.dumps(text) for field, text in texts if text is not None}

    async def put(self, requester: Requester, user_id: str, field: str, value: Any) -> None:
        """The field has this JSON value; an empty name or avatar is none. The change is told in each room.

        Raises:
            MatrixError: M_KEY_TOO_LARGE, M_PROFILE_TOO_LARGE; M_USER_SUSPENDED; M_GUEST_ACCESS_FORBIDDEN.
            InvalidParam: the name or the value of the field is not allowed.
            Forbidden: it is the profile of somebody else.
            NotFound: there is no such user.
        """
        check_key(field)
        await self._check_may_change(requester, user_id, field)
        check_value(field, value)
        if value == "" and field in (DISPLAYNAME, AVATAR_URL):
            await self._db.write(rows.delete, user_id, field)
            return
        if not await self._db.write(rows.put, user_id, field, orjson.dumps(value), MAX_PROFILE_BYTES):
            raise MatrixError(ErrCode.PROFILE_TOO_LARGE, f"A profile has at most {MAX_PROFILE_BYTES} bytes")

    async def delete(self, requester: Requester, user_id: str, field: str) -> None:
        """The field is gone; the change is told in each room. Harmless when repeated.

        Raises:
            MatrixError: M_KEY_TOO_LARGE; M_USER_SUSPENDED; M_GUEST_ACCESS_FORBIDDEN.
            InvalidParam: the name of the field is none.
            Forbidden: it is the profile of somebody else.
            NotFound: there is no such user.
        """
        check_key(field)
        await self._check_may_change(requester, user_id, field)
        await self._db.write(rows.delete, user_id, field)

    async def _check_may_change(self, requester: Requester, user_id: str, field: str) -> None:
        if requester.user_id != user_id and not requester.is_admin:
            raise Forbidden("You may only change your own profile")
        if requester.is_suspended:
            raise MatrixError(ErrCode.USER_SUSPENDED, "You cannot change your profile while suspended")
        if requester.is_guest and field != DISPLAYNAME:
            raise MatrixError(ErrCode.GUEST_ACCESS_FORBIDDEN, "Guests may only change their display name")
        user = await self._users.get(self._users.parse_local(user_id))
        if user.is_deactivated:
            raise NotFound("There is no such user")


def check_key(field: str) -> None:
    """Return when this can be the name of a profile field; raises M_KEY_TOO_LARGE or InvalidParam."""
    if len(field.encode()) > MAX_KEY_BYTES:
        raise MatrixError(ErrCode.KEY_TOO_LARGE, f"A profile key has at most {MAX_KEY_BYTES} bytes")
    if not _KEY.fullmatch(field):
        raise InvalidParam("A profile key has lowercase letters, digits, dots, dashes and underscores")


def check_value(field: str, value: Any) -> None:
    """Return when a field may have this value; raises InvalidParam."""
    longest = _TEXTS.get(field)
    if longest is None:
        return
    if not isinstance(value, str):
        raise InvalidParam(f"{field} is not a string")
    if len(value) > longest:
        raise InvalidParam(f"{field} has at most {longest} characters")
    if field == AVATAR_URL and value and not value.startswith("mxc://"):
        raise InvalidParam("avatar_url is not an mxc:// URI")


def _text(value: bytes | None) -> str | None:
    decoded = None if value is None else orjson.loads(value)
    return decoded if isinstance(decoded, str) else None
