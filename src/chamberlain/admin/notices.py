"""Server notices: what the administrators tell a user, in the one room of theirs for it (client-server API, 11.20)."""

import asyncio
from typing import Final
from weakref import WeakValueDictionary

from chamberlain.accounts.wiring import Accounts
from chamberlain.config.server_notices import ServerNotices as Settings
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.ids import EventID, RoomID, UserID, make_user_id
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.create import RoomOptions
from chamberlain.rooms.pipeline.waiting import Txn
from chamberlain.rooms.wiring import Rooms
from chamberlain.runtime.clock import Clock
from chamberlain.store import leases, memberships, server_notices
from chamberlain.store.database import Database
from chamberlain.store.leases import Lease

TAG: Final = "m.server_notice"
LISTENER_LEVEL: Final = -10
"""The power level of who gets notices: enough to read and to leave."""
TXN_KEPT_MS: Final = 7 * 24 * 3600 * 1000
_PATH: Final = "send_server_notice"
_LEASE_MS: Final = 30_000
_TRY_AGAIN_SECONDS: Final = 0.05


class Notices:
    """Sends notices. `user_id` is the sender's."""

    def __init__(
        self, db: Database, clock: Clock, holder: str, accounts: Accounts, rooms: Rooms, settings: Settings
    ) -> None:
        self._db = db
        self._clock = clock
        self._accounts = accounts
        self._rooms = rooms
        self._settings = settings
        self._holder = holder
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.user_id = make_user_id(settings.localpart, accounts.users.server_name)

    def check_enabled(self) -> None:
        """Raises M_UNKNOWN (400) where the settings say that there are none."""
        if not self._settings.enabled:
            raise MatrixError(ErrCode.UNKNOWN, "Server notices are not enabled on this server", status=400)

    async def guard_leave(self, user_id: str, room_id: str, membership: str) -> None:
        """Raises M_CANNOT_LEAVE_SERVER_NOTICE_ROOM where the user would reject the invitation to their notices."""
        if membership == "invite" and await self._db.read(
            server_notices.is_room_of, RoomID(room_id), UserID(user_id)
        ):
            raise MatrixError(
                ErrCode.CANNOT_LEAVE_SERVER_NOTICE_ROOM, "You cannot reject the invitation to server notices"
            )

    async def send(
        self,
        actor: str,
        user_id: UserID,
        kind: str,
        content: JsonObject,
        *,
        state_key: str | None = None,
        txn_id: str | None = None,
    ) -> EventID:
        """The user has the notice; gives its id. The same actor and transaction id give the same one, on any worker.

        Raises:
            MatrixError: M_UNKNOWN (400), notices are not enabled; what the room refuses.
        """
        self.check_enabled()
        async with self._locks.setdefault(user_id, asyncio.Lock()):
            if txn_id is not None:
                earlier = await self._db.read(server_notices.find_txn, actor, txn_id)
                if earlier is not None:
                    return earlier
            room_id = await self._have_room(user_id)
            txn = None if txn_id is None else Txn(self.user_id, actor, _PATH, txn_id)
            event_id = await self._rooms.submit.send(
                self.user_id, room_id, kind, content, state_key=state_key, txn=txn
            )
            if txn_id is None:
                return event_id
            now = self._clock.now()
            return await self._db.write(
                server_notices.add_txn, actor, txn_id, event_id, now, now - TXN_KEPT_MS
            )

    async def _have_room(self, user_id: UserID) -> RoomID:
        """The user's notices room, which the user is in or invited to."""
        room_id = await self._find_room(user_id)
        if room_id is None:
            lease = await self._take_lease(user_id)
            try:
                room_id = await self._find_room(user_id) or await self._make_room(user_id)
            finally:
                await self._db.write(leases.release, lease)
        found = await self._db.read(memberships.find, room_id, user_id)
        if found is None or found.membership not in ("join", "invite"):
            await self._rooms.membership.invite(self.user_id, room_id, user_id)
            await self._accounts.account_data.put_tag(user_id, room_id, TAG, {})
            if self._settings.auto_join:
                await self._rooms.membership.join(user_id, room_id)
        return room_id

    async def _find_room(self, user_id: UserID) -> RoomID | None:
        """The user's notices room, if the sender is still in it."""
        room_id = await self._db.read(server_notices.find_room, user_id)
        if room_id is None:
            return None
        own = await self._db.read(memberships.find, room_id, self.user_id)
        return room_id if own is not None and own.membership == "join" else None

    async def _take_lease(self, user_id: UserID) -> Lease:
        """Keep other workers from making a room for the user too."""
        while True:
            now = self._clock.now()
            lease = await self._db.write(
                leases.take, f"notices:{user_id}", self._holder, now, now + _LEASE_MS
            )
            if lease is not None:
                return lease
            await self._clock.sleep(_TRY_AGAIN_SECONDS)

    async def _make_room(self, user_id: UserID) -> RoomID:
        await self._have_account()
        settings = self._settings
        options = RoomOptions(
            preset="private_chat",
            name=settings.room_name or None,
            topic=settings.room_topic or None,
            creation_content={"m.federate": False},
            power_level_content_override={"users_default": LISTENER_LEVEL},
        )
        room_id = await self._rooms.create.create_room(self.user_id, options)
        await self._db.write(server_notices.set_room, user_id, room_id)
        return room_id

    async def _have_account(self) -> None:
        """The sender has an account, to which nobody can log in.

        Raises:
            MatrixError: M_UNKNOWN (400), the id is a person's.
        """
        user = await self._accounts.users.find(self.user_id)
        if user is None:
            await self._make_account()
        elif user.has_password or user.is_deactivated:
            raise MatrixError(
                ErrCode.UNKNOWN,
                f"{self.user_id} is somebody's account: choose another sender of server notices",
                status=400,
            )

    async def _make_account(self) -> None:
        settings = self._settings
        try:
            await self._accounts.registration.register(
                settings.localpart, None, displayname=settings.display_name, avatar_url=settings.avatar_url
            )
        except MatrixError as error:
            if error.code is not ErrCode.USER_IN_USE:  # another notice was faster
                raise
