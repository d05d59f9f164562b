"""Some of the destinations, seen to by the worker that holds their lease."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from zlib import crc32

from chamberlain.federation.outbound.delivery import Delivery, Way
from chamberlain.federation.outbound.ledger import Ledger, Newcomers
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import cursors, leases, outbox, outbox_queue
from chamberlain.store.leases import Lease, LeaseLost

LEASE_SECONDS: Final = 20.0
"""How long destinations stand still after their worker died."""
TICK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 5.0
TRIM_SECONDS: Final = 3_600.0
EDUS_KEPT: Final = 10_000
"""So many EDUs wait for a server that does not answer; the oldest go."""

_log = get_logger("federation")


class Shard:
    """One shard of `count`. Without the lease it does nothing but try to get it."""

    def __init__(
        self,
        way: Way,
        index: int,
        count: int,
        holder: str,
        newcomers: Newcomers,
        patience: Callable[..., float],
    ) -> None:
        """`patience`: for how many seconds others may take a shard first, as things are or as if some were held."""
        self._way = way
        self._db = way.db
        self._clock = way.clock
        self._index = index
        self._count = count
        self._holder = holder
        self._newcomers = newcomers
        self._patience = patience
        self.name = f"outbound:{index}"
        self._tasks = Tasks()
        self._news = asyncio.Event()
        self._lost = asyncio.Event()
        self.has_read = False
        """Whether everything has been looked at."""
        self._ledger: Ledger | None = None
        self._delivery: Delivery | None = None

    def start(self) -> None:
        """Begin, as soon as the lease is free."""
        self._tasks.spawn(f"send as {self.name}", self._hold_forever())

    async def close(self) -> None:
        """Send nothing more, and let another worker have the lease."""
        await self._tasks.close()

    # ------------------------------------------------------------------------------------------- being told

    @property
    def delivery(self) -> Delivery | None:
        """The lanes; None while another worker holds the lease."""
        return self._delivery

    def is_ours(self, server: str) -> bool:
        """Whether a destination is of this shard."""
        if not server or server == self._way.server_name:
            return False
        return self._count == 1 or crc32(server.encode()) % self._count == self._index

    def may_have_room(self, room_id: str) -> bool:
        """Whether a room has servers of this shard. What was not looked at yet may have brought some into it."""
        return self._ledger is not None and (not self.has_read or room_id in self._ledger.federated)

    def forget_room(self, room_id: str) -> None:
        """The room was purged: where it comes again, it comes anew."""
        if self._ledger is not None:
            self._ledger.forget_room(room_id)

    def arrived(self) -> None:
        """There are events to look at."""
        self.has_read = False
        self._news.set()

    def passed(self, position: int) -> None:
        """Nothing up to a position concerns this shard, unless it has been told otherwise already."""
        if self.has_read and self._ledger is not None:
            self._ledger.cursor = max(self._ledger.cursor, position)

    def add_edus(self, servers: Iterable[str]) -> None:
        """EDUs for these servers are in the database."""
        if self._delivery is not None and self._ledger is not None:
            ours = (server for server in servers if self.is_ours(server))
            self._delivery.add_edus(ours, self._ledger.cursor)

    def look_for_edus(self) -> None:
        """EDUs are in the database, it is not known for whom."""
        if self._delivery is not None:
            self._tasks.spawn("look for EDUs", self._look_for_edus())

    async def _look_for_edus(self) -> None:
        self.add_edus(await self._db.read(outbox.list_edu_destinations))

    @property
    def cursor(self) -> int:
        """Up to where events have been dealt with."""
        return 0 if self._ledger is None else self._ledger.cursor

    # ---------------------------------------------------------------------------------------- with the lease

    async def _hold_forever(self) -> None:
        await self._clock.sleep(self._index * self._patience(1))
        while True:
            # Whoever has fewer shards takes the next one.
            await self._clock.sleep(self._patience())
            try:
                lease = await self._take()
            except Exception:
                _log.exception("the lease of a shard could not be taken", shard=self.name)
                lease = None
            if lease is None:
                await self._clock.sleep(LEASE_SECONDS / 4)
                continue
            self._lost.clear()
            tasks = Tasks()
            try:
                tasks.spawn("renew the lease of a shard", self._renew(lease))
                await self._begin(lease)
                tasks.spawn("follow what others must hear of", self._follow())
                tasks.spawn("look after destinations", self._tick())
                await self._lost.wait()
                _log.warning("another worker has taken over a shard", shard=self.name)
            except LeaseLost:
                _log.warning("another worker has taken over a shard", shard=self.name)
            except Exception:
                _log.exception("a shard failed", shard=self.name)
                await self._clock.sleep(RETRY_SECONDS)
            finally:
                await tasks.close()
                await self._end(lease)

    async def _take(self) -> Lease | None:
        now = self._clock.now()
        return await self._db.write(
            leases.take, self.name, self._holder, now, now + round(LEASE_SECONDS * 1000)
        )

    async def _begin(self, lease: Lease) -> None:
        cursor = await self._db.read(cursors.get, self.name)
        ledger = Ledger(self._db, lease, cursor, self.is_ours, self._newcomers)
        ahead = await self._db.snapshot(outbox_queue.list_sent_since, cursor)
        delivery = Delivery(
            self._way,
            lease,
            lambda: ledger.save(delivery.safe_position(ledger.cursor)),
            self._lost.set,
            ahead,
        )
        await self._db.write(outbox_queue.forget_ended, lease, cursor)
        await ledger.load()
        behind = [row for row in await self._db.snapshot(outbox_queue.list_behind) if self.is_ours(row[0])]
        # Whoever is told of now adds to what is restored: before that there must be no lanes.
        self._ledger, self._delivery = ledger, delivery
        self.has_read = False
        self._news.set()
        delivery.restore(behind)
        await self._look_for_edus()

    async def _end(self, lease: Lease) -> None:
        ledger, delivery = self._ledger, self._delivery
        self._ledger = self._delivery = None
        if delivery is not None:
            await delivery.close()
        try:
            if delivery is not None and ledger is not None and not self._lost.is_set():
                await ledger.save(delivery.safe_position(ledger.cursor))
        except LeaseLost:
            pass
        await self._db.write(leases.release, lease)

    async def _follow(self) -> None:
        """Read what comes as long as the lease is held."""
        assert self._ledger is not None and self._delivery is not None
        ledger, delivery = self._ledger, self._delivery
        while True:
            self._news.clear()
            try:
                has_more = True
                while has_more:
                    has_more = await ledger.read_on(delivery.add_event)
                    if has_more or ledger.must_be_saved:
                        await self.save()
            except LeaseLost:
                self._lost.set()
                return
            except Exception:
                _log.exception("reading what others must hear of failed", shard=self.name)
                await self._clock.sleep(RETRY_SECONDS)
                continue
            if not self._news.is_set():
                self.has_read = True
                await self._news.wait()

    async def _renew(self, lease: Lease) -> None:
        while True:
            await self._clock.sleep(LEASE_SECONDS / 4)
            until = self._clock.now() + round(LEASE_SECONDS * 1000)
            try:
                if not await self._db.write(leases.renew, lease, until):
                    self._lost.set()
            except Exception:
                _log.exception("renewing a lease failed", lease=lease.name)

    async def _tick(self) -> None:
        """See to those that rest, and that the database keeps up."""
        assert self._delivery is not None
        trimmed = self._clock.monotonic()
        while True:
            await self._clock.sleep(TICK_SECONDS)
            try:
                self._delivery.look_again()
                await self.save()
                if self._clock.monotonic() - trimmed >= TRIM_SECONDS:
                    trimmed = self._clock.monotonic()
                    await self._trim(self._delivery.resting)
            except LeaseLost:
                self._lost.set()
            except Exception:
                _log.exception("looking after destinations failed", shard=self.name)

    async def save(self) -> None:
        """Have the database know what is for whom, if anything is new."""
        if self._ledger is not None and self._delivery is not None:
            await self._ledger.save(self._delivery.safe_position(self._ledger.cursor), lazily=True)
            self._ledger.forget_rooms()

    async def _trim(self, resting: Sequence[str]) -> None:
        for server in resting:
            gone = await self._db.write(outbox_queue.trim_edus, [server], EDUS_KEPT)
            if gone:
                _log.warning("too much waits for a server that is gone", destination=server, forgotten=gone)
