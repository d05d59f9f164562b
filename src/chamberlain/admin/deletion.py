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
from chamberlain.store import aliases, entering, jobs, memberships, outbox_lists, purge, purged
from chamberlain.store.database import Database
from chamberlain.store.jobs import CLAIMED, DONE, SKIPPED, Item, Job
from chamberlain.store.outbox_lists import Untold

DELETE_ROOM: Final = "delete_room"
REPLACEMENT: Final = "replacement room"
OTHER_SERVERS: Final = "other servers"
CLOSING: Final = "closing"
SWEEPING: Final = "sweeping"

TOLD_SECONDS: Final = 30.0
"""For so long at most other servers are waited for until they have been sent the leaves."""
ENTERING_SECONDS: Final = 60.0
"""For so long at most a join is waited for that was under way before."""
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
        self._deadlines: dict[tuple[str, str], float] = {}
        self._steps: Mapping[str, Callable[[Job, Item], Awaitable[Item]]] = {
            REPLACEMENT: self._replace,
            OTHER_SERVERS: self._tell,
            CLOSING: self._close,
            SWEEPING: self._sweep,
        }

    async def plan(self, job: Job) -> Sequence[str]:
        """Those who leave, the names that are taken away, and the steps."""
        wanted = _wanted(job)
        replaces = wanted.new_room_user_id is not None
        users = await self._db.snapshot(memberships.local_members, job.subject, IN_ROOM)
        names = await self._db.read(aliases.list_of, job.subject) if wanted.purge or replaces else []
        steps = [OTHER_SERVERS, CLOSING, *purge.PARTS, SWEEPING] if wanted.purge else []
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

    async def _tell(self, job: Job, item: Item) -> Item:
        """Nothing is deleted before the servers in the room have been sent the leaves."""
        ends = self._deadline(job, item, TOLD_SECONDS)
        pause = self._clock.monotonic() + SLICE_SECONDS
        while True:
            untold = await self._db.snapshot(outbox_lists.list_untold, job.subject)
            untold = [one for one in untold if self._gate.permits(one.destination)]
            left = ends - self._clock.monotonic()
            if left <= 0 or not any(one.retry_at <= self._clock.now() + 1_000 * left for one in untold):
                del self._deadlines[job.job_id, item.item]
                return Item(item.place, item.item, DONE, _not_told(untold))
            if self._clock.monotonic() >= pause:
                return Item(item.place, item.item, CLAIMED, f"waiting for {len(untold)}")
            await self._clock.sleep(LOOK_SECONDS)

    async def _close(self, job: Job, item: Item) -> Item:
        """Nobody can come into the room from now on, and nothing leads to it."""
        room_id = job.subject
        await self._db.write(purged.begin, room_id)
        ends = self._deadline(job, item, ENTERING_SECONDS)
        is_entered = await self._db.read(entering.find_version, room_id, self._clock.now()) is not None
        if is_entered and self._clock.monotonic() < ends:
            await self._clock.sleep(LOOK_SECONDS)
            return Item(item.place, item.item, CLAIMED, "waiting for a join that is under way")
        del self._deadlines[job.job_id, item.item]
        evict = _wanted(job).force_purge

        async def close() -> bool:
            return await self._db.write(purge.close, room_id, evict=evict)

        while not await self._submit.in_turn(room_id, close):
            if not evict:
                await self._db.write(purged.end, room_id)
                raise MatrixError(ErrCode.UNKNOWN, "Users of this server are still in the room", status=400)
        return Item(item.place, item.item, DONE)

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

    def _deadline(self, job: Job, item: Item, seconds: float) -> float:
        """When waiting ends that began when this was first asked."""
        return self._deadlines.setdefault((job.job_id, item.item), self._clock.monotonic() + seconds)


def _wanted(job: Job) -> Deletion:
    return msgspec.convert(job.arguments, Deletion)


def _not_told(servers: Sequence[Untold]) -> str | None:
    if not servers:
        return None
    names = [one.destination for one in servers[:NAMED]]
    more = f" and {len(servers) - NAMED} more" if len(servers) > NAMED else ""
    return f"not told: {', '.join(names)}{more}"
