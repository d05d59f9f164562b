"""Sending to other servers: the shards of this worker, and what they are told of."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from chamberlain.federation.outbound.delivery import Way
from chamberlain.federation.outbound.ephemera import Ephemera
from chamberlain.federation.outbound.servers import RoomServers
from chamberlain.federation.outbound.shard import Shard
from chamberlain.matrix.event_types import MEMBER
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.store import cursors, kinds
from chamberlain.store.database import Database
from chamberlain.store.tx import Change

SHARDS: Final = 4
"""Where there may be many workers. It never changes: a cursor is kept for each."""
PATIENCE_SECONDS: Final = 1.0


class Figures(msgspec.Struct, frozen=True):
    """What this worker has to send. `pdus`: those in memory; `behind`: destinations of which the database has more."""

    shards: int
    """How many parts of all destinations are seen to here."""
    destinations: int
    behind: int
    resting: int
    pdus: int
    edus: int
    """Destinations with EDUs."""
    transactions_sent: int
    unread: int
    """How many changes still have to be looked at."""


class Outbound:
    """Sends to other servers."""

    def __init__(self, way: Way, heads: Heads, holder: str, *, enabled: bool, shared: bool) -> None:
        """`shared`: other workers use the same database; each of them has some of the shards."""
        self._way = way
        self._db: Database = way.db
        self._enabled = enabled
        self._servers = RoomServers(way.db, heads)
        self._newcomers: list[Callable[[str, Sequence[str]], None]] = []
        count = 1 if way.db.dialect == "sqlite" else SHARDS
        self._shards = [
            Shard(way, index, count, holder, self._tell_newcomers, self._patience) for index in range(count)
        ]
        self._shared = shared
        way.db.subscribe(self._changed)
        way.availability.subscribe_recovered(self._recovered)

    async def start(self) -> None:
        """Begin to send."""
        if not self._enabled:
            await self._db.write(cursors.forget, "outbound:")
            return
        # Nobody has to hear of what came before there were others; all that comes from now on counts, whenever and
        # wherever a shard is taken.
        await self._db.write(cursors.begin, [shard.name for shard in self._shards], self._db.position)
        for shard in self._shards:
            shard.start()

    async def close(self) -> None:
        """Send nothing more. What was not answered is repeated after the next start."""
        for shard in self._shards:
            await shard.close()

    async def servers_in(self, room_id: str) -> frozenset[str]:
        """The other servers that have users joined to the room."""
        return await self._servers.servers_in(room_id)

    def reaches(self, room_id: str) -> bool:
        """Whether servers that are seen to here are in a room, or may be. Costs next to nothing."""
        return any(shard.may_have_room(room_id) for shard in self._shards)

    def subscribe_newcomers(self, tell: Callable[[str, Sequence[str]], None]) -> None:
        """Have `tell(room_id, servers)` called when servers have come into a room; it must not block."""
        self._newcomers.append(tell)

    def add_ephemera(self, servers: Collection[str], add: Callable[[Ephemera], None]) -> None:
        """`add` something that is worth little later to what waits for each of the servers that are seen to here."""
        for shard in self._shards:
            delivery = shard.delivery
            if delivery is None:
                continue
            for server in servers:
                if shard.is_ours(server):
                    delivery.add_ephemera(server, shard.cursor, add)

    async def save(self) -> None:
        """Have the database know what is for whom; it does so by itself every few seconds."""
        for shard in self._shards:
            await shard.save()

    def figures(self) -> Figures:
        """What there is to send."""
        lanes = [
            lane
            for shard in self._shards
            if shard.delivery is not None
            for lane in shard.delivery.lanes.values()
        ]
        return Figures(
            shards=self._held,
            destinations=len(lanes),
            behind=sum(lane.has_missed or lane.upto is not None for lane in lanes),
            resting=sum(len(shard.delivery.resting) for shard in self._shards if shard.delivery is not None),
            pdus=sum(len(lane.pending) for lane in lanes),
            edus=sum(lane.has_edus or bool(lane.ephemera) for lane in lanes),
            transactions_sent=self._way.transactions_sent,
            unread=max(
                (
                    self._db.position - shard.cursor
                    for shard in self._shards
                    if shard.delivery is not None and not shard.has_read
                ),
                default=0,
            ),
        )

    def _changed(self, changes: Sequence[Change]) -> None:
        if not self._enabled:
            return
        edus: list[str] = []
        for change in changes:
            if change.kind == kinds.OUTBOX:
                edus += change.payload or (change.entity,)
            elif change.kind == kinds.ROOM and change.ref == "purge":
                for shard in self._shards:
                    shard.forget_room(change.entity)
        events = [change for change in changes if change.kind == kinds.EVENT]
        for shard in self._shards:
            if any(_concerns(change, shard) for change in events):
                shard.arrived()
            else:
                shard.passed(changes[-1].position)
            if "" in edus:
                shard.look_for_edus()
            elif edus:
                shard.add_edus(edus)

    def _patience(self, held: int | None = None) -> float:
        """How many seconds to let others take a shard first: who has fewer of them (`held`, or as it is) should."""
        if held is None:
            held = self._held
        return PATIENCE_SECONDS * held if self._shared else 0.0

    @property
    def _held(self) -> int:
        return sum(shard.delivery is not None for shard in self._shards)

    def _recovered(self, server: str) -> None:
        for shard in self._shards:
            if shard.delivery is not None and shard.is_ours(server):
                shard.delivery.wake(server)

    def _tell_newcomers(self, room_id: str, servers: Sequence[str]) -> None:
        for tell in self._newcomers:
            tell(room_id, servers)


def _concerns(change: Change, shard: Shard) -> bool:
    """Whether an event may have to be told of, or may bring servers into a room. Costs a look into a set."""
    arrived = change.payload
    if not isinstance(arrived, Arrived):
        return True
    if not arrived.outgoing and arrived.event.state_key is None:
        # What others say they tell by themselves, and it moves nobody.
        return False
    return shard.may_have_room(change.entity) or arrived.event.type == MEMBER
