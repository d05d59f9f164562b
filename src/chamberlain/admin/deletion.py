"""The job that shuts a room down and purges it: users leave, other servers are told, and nothing is left here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import takewhile
from typing import Final

import msgspec

from chamberlain.admin.leaving import Leaving
from chamberlain.admin.replacement import Replacement
from chamberlain.federation.gate import FederationGate
from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import MatrixError
from chamberlain.rooms.membership import IN_ROOM
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.runtime.clock import Clock
from chamberlain.store import aliases, jobs, memberships, outbox_lists, purge, purged
from chamberlain.store.database import Database
from chamberlain.store.jobs import CLAIMED, DONE, SKIPPED, WAITING, Item, Job
from chamberlain.store.outbox_lists import Untold

DELETE_ROOM: Final = "delete_room"
REPLACEMENT: Final = "replacement room"
CLOSING: Final = "closing"
SWEEPING: Final = "sweeping"

PATIENCE_SECONDS: Final = 30.0
"""For so long at most it is waited until other servers have been sent the leaves, and until nobody is coming in."""
GRACE_SECONDS: Final = 3.0
"""So long a room with other servers in it stays when they were sent the leaves: they may ask for what leads to them."""
LOOK_SECONDS: Final = 0.1
SLICE_SECONDS: Final = 0.5
"""After so long the progress is written, and it is looked whether the job is to go on."""
PAUSE_SECONDS: Final = 0.005
"""Between two transactions, so that others get their turn."""
NAMED: Final = 20
"""So many servers are named that were not told."""


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a room, beside that our users leave it."""

    purge: bool
    """Nothing of it is left."""
    force_purge: bool
    """Though users of ours could not leave."""
    new_room_user_id: str | None
    """The user of ours who makes the room that the others come into."""
    room_name: str
    message: str


class _Wait:
    """Until when a job waits at most, since when nobody is left to be told, and who was made to leave, or could not."""

    __slots__ = ("ends", "told_since", "tried")

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.told_since: float | None = None
        self.tried: set[str] = set()

    def has_told(self, now: float) -> bool:
        """Whether nobody is left to be told for long enough, as of now."""
        if self.told_since is None:
            self.told_since = now
        return now - self.told_since >= GRACE_SECONDS


class DeleteRoom:
    """The job; its subject is the room. Its items: users, aliases, and steps by their names."""

    name = DELETE_ROOM
    batch = 200

    def __init__(
        self,
        db: Database,
        clock: Clock,
        leaving: Leaving,
        replacement: Replacement,
        submit: Submit,
        gate: FederationGate,
    ) -> None:
        self._db = db
        self._clock = clock
        self._leaving = leaving
        self._replacement = replacement
        self._submit = submit
        self._gate = gate
        self._waits: dict[str, _Wait] = {}
        self._steps: Mapping[str, Callable[[Job, Item], Awaitable[Item]]] = {
            REPLACEMENT: self._replace,
            CLOSING: self._close,
            SWEEPING: self._sweep,
        }

    async def plan(self, job: Job) -> Sequence[str]:
        """Those who leave, the names that are taken away, and the steps."""
        wanted = _wanted(job)
        replaces = wanted.new_room_user_id is not None
        users = await self._db.snapshot(memberships.local_members, job.subject, IN_ROOM)
        names = await self._db.read(aliases.list_of, job.subject) if wanted.purge or replaces else []
        steps = [CLOSING, *purge.PARTS, SWEEPING] if wanted.purge else []
        return [*([REPLACEMENT] if replaces else []), *users, *names, *steps]

    async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
        """Have these users out of the room, or do the next step."""
        users = list(takewhile(lambda item: item.item.startswith("@"), items))
        if users:
            return await self._leave(job, users)
        item = items[0]
        if item.item.startswith("#"):
            return [await self._move_alias(job, item)]
        return [await self._steps.get(item.item, self._empty)(job, item)]

    # -------------------------------------------------------------------------------------------- shutting down

    async def _replace(self, job: Job, item: Item) -> Item:
        wanted = _wanted(job)
        assert wanted.new_room_user_id is not None
        room_id = await self._replacement.make(
            wanted.new_room_user_id,
            wanted.room_name,
            wanted.message,
            job_id=job.job_id,
            made_since=job.created_at if item.state == CLAIMED else None,
        )
        return Item(item.place, item.item, DONE, room_id)

    async def _leave(self, job: Job, users: Sequence[Item]) -> Sequence[Item]:
        settled = await self._leaving.leave(users, lambda item: (job.subject, item.item))
        new_room = await self._new_room(job)
        return settled if new_room is None else await self._replacement.bring(settled, new_room)

    async def _move_alias(self, job: Job, item: Item) -> Item:
        new_room = await self._new_room(job)
        if new_room is None:
            await self._db.write(aliases.delete, item.item)
        else:
            await self._db.write(aliases.move, item.item, new_room)
        return Item(item.place, item.item, DONE, new_room)

    async def _new_room(self, job: Job) -> str | None:
        if _wanted(job).new_room_user_id is None:
            return None
        return await self._db.read(jobs.detail_of, job.job_id, REPLACEMENT)

    # ------------------------------------------------------------------------------------------------- purging

    async def _close(self, job: Job, item: Item) -> Item:
        """Nothing leads to the room any more. Before that, whoever has come in meanwhile leaves, too; the servers in
        it are sent the leaves; and a join that is under way comes to its end. For so long as there is patience.
        """
        wait = self._waits.setdefault(job.job_id, _Wait(self._clock.monotonic() + PATIENCE_SECONDS))
        pause = self._clock.monotonic() + SLICE_SECONDS
        while True:
            held = await self._db.snapshot(purge.held_by, job.subject, self._clock.now())
            if late := [user_id for user_id in held.users if user_id not in wait.tried]:
                wait.tried.update(late)
                coming = [Item(place, user_id, WAITING) for place, user_id in enumerate(late)]
                await self._leaving.leave(coming, lambda one: (job.subject, one.item))
                continue
            untold = await self._untold(job.subject)
            now = self._clock.monotonic()
            left = wait.ends - now
            if held.is_entered or self._may_be_told(untold, left):
                wait.told_since = None
                may_close = False
            else:
                may_close = wait.has_told(now) or not await self._has_others(job.subject)
            if left <= 0 or may_close:
                if await self._try_to_close(job, held):
                    del self._waits[job.job_id]
                    return Item(item.place, item.item, DONE, _not_told(untold))
            elif self._clock.monotonic() >= pause:
                return Item(item.place, item.item, CLAIMED, f"waiting for {len(untold)} servers")
            else:
                await self._clock.sleep(LOOK_SECONDS)

    async def _untold(self, room_id: str) -> list[Untold]:
        untold = await self._db.snapshot(outbox_lists.list_untold, room_id)
        return [one for one in untold if self._gate.permits(one.destination)]

    async def _has_others(self, room_id: str) -> bool:
        servers = await self._db.read(memberships.servers_in, room_id)
        return any(map(self._gate.permits, servers))

    def _may_be_told(self, untold: Sequence[Untold], seconds: float) -> bool:
        """Whether any of the servers is tried within this time."""
        return any(one.retry_at <= self._clock.now() + 1_000 * seconds for one in untold)

    async def _try_to_close(self, job: Job, held: purge.Held) -> bool:
        evict = _wanted(job).force_purge
        if held.users and not evict:
            del self._waits[job.job_id]
            raise MatrixError(ErrCode.UNKNOWN, "Users of this server are still in the room", status=400)

        async def close() -> bool:
            return await self._db.write(purge.close, job.subject, evict=evict)

        return await self._submit.in_turn(job.subject, close)

    async def _empty(self, job: Job, item: Item) -> Item:
        """Delete one part of what there is of the room; the detail counts the rows."""
        count = int(item.detail or 0)
        pause = self._clock.monotonic() + SLICE_SECONDS
        while self._clock.monotonic() < pause:
            gone = await self._db.write(purge.delete_some, job.subject, item.item)
            count += gone
            if not gone:
                return Item(item.place, item.item, DONE if count else SKIPPED, str(count))
            await self._clock.sleep(PAUSE_SECONDS)
        return Item(item.place, item.item, CLAIMED, str(count))

    async def _sweep(self, job: Job, item: Item) -> Item:
        """What was being written when the room was closed goes too."""
        gone = 0
        for part in purge.PARTS:
            while more := await self._db.write(purge.delete_some, job.subject, part):
                gone += more
        if gone:
            return Item(item.place, item.item, CLAIMED, str(gone))
        await self._db.write(purged.end, job.subject)
        return Item(item.place, item.item, DONE)


def _wanted(job: Job) -> Deletion:
    return msgspec.convert(job.arguments, Deletion)


def _not_told(servers: Sequence[Untold]) -> str | None:
    if not servers:
        return None
    names = [one.destination for one in servers[:NAMED]]
    more = f" and {len(servers) - NAMED} more" if len(servers) > NAMED else ""
    return f"not told: {', '.join(names)}{more}"
