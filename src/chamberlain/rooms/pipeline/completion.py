"""Getting the members of rooms that were joined without them (server-server API, Joining Rooms, `omit_members`).

Of several workers the one that holds the room's lease asks; the others are ready to take it over.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import find_server_of
from chamberlain.rooms.pipeline.fetch import Fetch
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.pipeline.summary import membership_row
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds, leases
from chamberlain.store import partial as store
from chamberlain.store.database import Database
from chamberlain.store.events import find_event, list_events_by_nid
from chamberlain.store.leases import Lease
from chamberlain.store.partial import Partial
from chamberlain.store.tx import Change

AT_ONCE: Final = 1_000
"""Members of one transaction."""
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 600.0
LEASE_S: Final = 30.0
"""Seconds after which another worker goes on with what a dead one had begun."""

log = get_logger("rooms")


class Completion:
    """Asks for the members of rooms until it has them, also after a restart."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        submit: Submit,
        fetch: Fetch,
        server_name: str,
        holder: str,
    ) -> None:
        """`holder`: this worker's name in leases."""
        self._db = db
        self._clock = clock
        self._heads = heads
        self._submit = submit
        self._fetch = fetch
        self._server_name = server_name
        self._holder = holder
        self._tasks = Tasks()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leases: dict[str, Lease] = {}
        self._news: dict[str, asyncio.Event] = {}
        db.subscribe(self._changed)

    def start(self) -> None:
        """Go on with what was not finished, here or by workers that are no more."""
        self._tasks.spawn("watch partial rooms", self._watch())

    async def close(self) -> None:
        """End the background work; others may go on with it at once."""
        await self._tasks.close()
        for lease in self._leases.values():
            await self._db.write(leases.release, lease)

    def wake(self) -> None:
        """Look for rooms that wait for their members."""
        self._tasks.spawn("look for partial rooms", self._look())

    async def wait(self, room_id: str, seconds: float) -> None:
        """Return when all members of the room are known, or no longer are asked for, at the latest after `seconds`."""
        head = await self._heads.find(room_id)
        if head is None or not head.is_partial:
            return
        await self._look()
        running = self._running.get(room_id)
        if running is not None:
            await asyncio.wait([running], timeout=seconds)

    async def _watch(self) -> None:
        while True:
            await self._look()
            await self._clock.sleep(LEASE_S)

    async def _look(self) -> None:
        for room in await self._db.read(store.list_partial):
            if room.room_id not in self._running:
                task = self._tasks.spawn(f"complete {room.room_id}", self._complete(room))
                self._running[room.room_id] = task
                task.add_done_callback(partial(self._ended, room.room_id))

    def _ended(self, room_id: str, task: asyncio.Task[None]) -> None:
        self._running.pop(room_id, None)

    async def _complete(self, room: Partial) -> None:
        name = f"members:{room.room_id}"
        while await self._is_wanted(room.room_id):
            async with self._held(name) as is_ours:
                if is_ours:
                    await self._complete_alone(room)
                    await self._db.write(leases.forget, [name])
                    return
            await self._news_of(room.room_id)

    async def _complete_alone(self, room: Partial) -> None:
        pause = FIRST_PAUSE_S
        while await self._is_wanted(room.room_id):
            state = await self._ask(room)
            if state is not None:
                await self._submit.in_turn(room.room_id, partial(self._fill_in, room, state))
                return
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    @asynccontextmanager
    async def _held(self, name: str) -> AsyncIterator[bool]:
        """Hold a lease as long as this worker lives; whether no other one has it.

        Whoever loses it all the same does the work twice, which does no harm.
        """
        now = self._clock.now()
        lease = await self._db.write(leases.take, name, self._holder, now, now + _ms(LEASE_S))
        if lease is None:
            yield False
            return
        self._leases[name] = lease
        keeping = self._tasks.spawn(f"keep {name}", self._keep(lease))
        try:
            yield True
        finally:
            keeping.cancel()
        del self._leases[name]

    async def _keep(self, lease: Lease) -> None:
        while True:
            await self._clock.sleep(LEASE_S / 3)
            await self._db.write(leases.renew, lease, self._clock.now() + _ms(LEASE_S))

    async def _news_of(self, room_id: str) -> None:
        """Return when something has happened in the room, or when it may be that the worker that is at it died."""
        news = self._news[room_id] = asyncio.Event()
        timer = self._clock.call_later(LEASE_S, news.set)
        await news.wait()
        timer.cancel()
        del self._news[room_id]

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == kinds.EVENT and (news := self._news.get(change.entity)) is not None:
                news.set()

    async def _is_wanted(self, room_id: str) -> bool:
        """Whether users here are in the room and not all of its members are known."""
        head = await self._heads.find(room_id)
        return head is not None and head.is_partial and head.summary.get("local_joined", 0) > 0

    async def _ask(self, room: Partial) -> Mapping[int, int] | None:
        found = await self._db.read(find_event, room.join_event)
        return None if found is None else await self._fetch.state_before(room.told_by, found[0])

    async def _fill_in(self, room: Partial, state: Mapping[int, int]) -> None:
        keys = list(state)
        for start in range(0, len(keys), AT_ONCE):
            part = {key: state[key] for key in keys[start : start + AT_ONCE]}
            if not await self._db.write(store.fill_in, room.room_id, part):
                # Another worker has filled it in, or it came anew.
                return
            loaded = await self._db.snapshot(list_events_by_nid, list(part.values()))
            rows = [self._row(event) for event, _, _ in loaded.values() if event.type == MEMBER]
            await self._db.write(store.add_members, rows)
        await self._db.write(store.complete, room)
        log.info("all members of a room are known", room_id=room.room_id)

    def _row(self, event: Event) -> dict[str, Any]:
        return membership_row(event, local=find_server_of(event.state_key or "") == self._server_name)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
