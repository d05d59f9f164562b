"""How our users are there, told to the servers that share a room with them."""

from collections.abc import Collection, Sequence
from typing import Final

from chamberlain.federation.outbound.audience import server_in
from chamberlain.federation.outbound.ephemera import Ephemera
from chamberlain.federation.outbound.gathering import Gathering
from chamberlain.federation.outbound.service import Outbound
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, memberships
from chamberlain.store.database import Database
from chamberlain.store.tx import Change
from chamberlain.sync.presence import Presences
from chamberlain.sync.present import Presence
from chamberlain.sync.wait import Waiting

AGAIN_SECONDS: Final = 25 * 60.0
"""Other servers take a user for gone whom they have not heard of for half an hour."""


class PresenceNews:
    """Follows our users' presence, for the servers that this worker sends to; does nothing where presence is off."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        presences: Presences,
        waiting: Waiting,
        outbound: Outbound,
        server_name: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._presences = presences
        self._waiting = waiting
        self._outbound = outbound
        self._server_name = server_name
        self._users: set[str] = set()
        self._newcomers: dict[str, set[str]] = {}
        self._gathering = Gathering("tell who is there", clock, self._tell)
        self._tasks = Tasks()
        if presences.enabled:
            presences.subscribe(self._moved)
            outbound.subscribe_newcomers(self._came)
            db.subscribe(self._changed)

    def start(self) -> None:
        """Begin."""
        if self._presences.enabled:
            self._tasks.spawn("tell who is still there", self._again())

    async def close(self) -> None:
        """Tell no more."""
        await self._gathering.close()
        await self._tasks.close()

    def _moved(self, user_id: str) -> None:
        if server_in(user_id) == self._server_name:
            self._users.add(user_id)
            self._gathering.due()

    def _came(self, room_id: str, servers: Sequence[str]) -> None:
        self._newcomers.setdefault(room_id, set()).update(servers)
        self._gathering.due()

    def _changed(self, changes: Sequence[Change]) -> None:
        """Who comes into a room with other servers is new to some of them."""
        for change in changes:
            if (
                change.kind == kinds.MEMBERSHIP
                and change.ref is not None
                and self._outbound.reaches(change.ref)
                and self._presences.find(change.entity) is not None
            ):
                self._moved(change.entity)

    async def _again(self) -> None:
        while True:
            await self._clock.sleep(AGAIN_SECONDS)
            for user_id in self._presences.users_there():
                self._moved(user_id)

    async def _tell(self) -> None:
        users, self._users = self._users, set()
        newcomers, self._newcomers = self._newcomers, {}
        for user_id in users:
            presence = self._presences.find(user_id)
            if presence is not None:
                self._add(await self._servers_of(user_id), [(user_id, presence)])
        for room_id, servers in newcomers.items():
            members = await self._db.read(memberships.local_members, room_id, ("join",))
            there = [
                (user_id, presence)
                for user_id, presence in self._presences.of(members)
                if presence.state != "offline"
            ]
            self._add(servers, there)

    async def _servers_of(self, user_id: str) -> set[str]:
        listener = self._waiting.find(user_id)
        rooms: Collection[str] = (
            listener.joined.keys()
            if listener is not None
            else [room.room_id for room in await self._db.read(memberships.rooms_of, user_id, ("join",))]
        )
        servers: set[str] = set()
        for room_id in list(rooms):
            if self._outbound.reaches(room_id):
                servers |= await self._outbound.servers_in(room_id)
        return servers

    def _add(self, servers: Collection[str], presences: Sequence[tuple[str, Presence]]) -> None:
        if not presences:
            return
        now = self._clock.now()

        def add(waiting: Ephemera) -> None:
            for user_id, presence in presences:
                waiting.add_presence(now, user_id, presence)

        self._outbound.add_ephemera(servers, add)
