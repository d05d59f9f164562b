"""Accounts: who has one and what it may do (client-server API, 5 and Account moderation)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, Final, ParamSpec

from chamberlain.matrix.errors import InvalidParam, NotFound
from chamberlain.matrix.ids import UserID, make_user_id, parse_user_id, server_of
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.store import kinds
from chamberlain.store import users as rows
from chamberlain.store.database import Database
from chamberlain.store.tx import Change, Write
from chamberlain.store.users import User

P = ParamSpec("P")

CACHED: Final = 20_000
USER_TYPES: Final = ("bot", "support")
"""The kinds of account that an administrator may set, beside none."""


class Users:
    """The accounts of this server. What was looked up is kept until a change of kind ACCESS."""

    def __init__(self, db: Database, clock: Clock, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self.server_name = server_name
        self._cached: Cache[str, User] = Cache(CACHED, "users")
        db.subscribe(self._changed)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.ACCESS:
                self._cached.pop(change.entity)

    def is_local(self, user_id: str) -> bool:
        """Whether this is an id of this server, whether or not somebody has it."""
        return user_id.partition(":")[2] == self.server_name

    def parse_local(self, name: str) -> UserID:
        """A full user id, or a localpart alone, as an id of this server.

        Raises:
            InvalidParam: it is neither, or the id is of another server.
        """
        if not name.startswith("@"):
            return parse_user_id(make_user_id(name, self.server_name))
        user_id = parse_user_id(name)
        if server_of(user_id) != self.server_name:
            raise InvalidParam("The user is not of this server")
        return user_id

    async def find(self, user_id: str) -> User | None:
        """The account, a deactivated one too, or None."""
        return await self._cached.fetch(user_id, self._read)

    async def _read(self, user_id: str) -> User | None:
        return await self._db.read(rows.find, user_id)

    async def get(self, user_id: str) -> User:
        """The account, a deactivated one too.

        Raises:
            NotFound: nobody ever had this id.
        """
        user = await self.find(user_id)
        if user is None:
            raise NotFound("There is no such user")
        return user

    async def exists(self, user_id: str) -> bool:
        """Whether somebody has this id and the account is in use."""
        user = await self.find(user_id)
        return user is not None and not user.is_deactivated

    async def erased_among(self, user_ids: Sequence[str]) -> set[str]:
        """Which of these users asked to be forgotten."""
        return await self._db.read(rows.erased_among, user_ids)

    async def set_admin(self, user_id: str, admin: bool) -> None:
        """The user is an administrator, or is none; raises NotFound."""
        await self._change(rows.set_admin, user_id, admin)

    async def set_user_type(self, user_id: str, user_type: str | None) -> None:
        """The account is of this kind.

        Raises:
            InvalidParam: there is no such kind.
            NotFound: there is no such user.
        """
        check_user_type(user_type)
        await self._change(rows.set_user_type, user_id, user_type)

    async def set_locked(self, user_id: str, locked: bool) -> None:
        """The account is locked, or is not; what it is logged in with stays. Raises NotFound."""
        await self._change(rows.set_locked, user_id, self._clock.now() if locked else None)

    async def set_suspended(self, user_id: str, suspended: bool) -> None:
        """The account is suspended, or is not; raises NotFound."""
        await self._change(rows.set_suspended, user_id, self._clock.now() if suspended else None)

    async def set_shadow_banned(self, user_id: str, banned: bool) -> None:
        """What the user sends reaches nobody, or it does; raises NotFound."""
        await self._change(rows.set_shadow_banned, user_id, self._clock.now() if banned else None)

    async def _change(
        self,
        change: Callable[Concatenate[Write, str, P], Awaitable[bool]],
        user_id: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        if not await self._db.write(change, user_id, *args, **kwargs):
            raise NotFound("There is no such user")


def check_user_type(user_type: str | None) -> None:
    """Return when there is such a kind of account; raises InvalidParam."""
    if user_type is not None and user_type not in USER_TYPES:
        raise InvalidParam(f"The user type is one of {', '.join(USER_TYPES)}, or none")
