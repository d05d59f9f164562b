"""Having local users out of rooms with member events of their own, many at a time; and the jobs that do so.

Invitations to rooms of other servers are rejected there too, as far as these can be reached.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from chamberlain.admin.deactivation import KIND, AccountEnd
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Draft
from chamberlain.matrix.ids import EventID
from chamberlain.rooms.membership import IN_ROOM
from chamberlain.rooms.pipeline.submit import Submit
from chamberlain.rooms.remote_membership import RemoteMembership
from chamberlain.runtime.clock import Clock
from chamberlain.store import memberships
from chamberlain.store.database import Database
from chamberlain.store.jobs import CLAIMED, DONE, FAILED, SKIPPED, Item, Job
from chamberlain.store.tx import Read

TRIES: Final = 5
REMOTE_AT_ONCE: Final = 8
"""So many invitations of other servers are rejected at a time."""

EVACUATE_ROOM: Final = "evacuate_room"
EVACUATE_USER: Final = "evacuate_user"

PairOf = Callable[[Item], tuple[str, str]]
"""The room and the user that an item stands for."""


class Leaving:
    """Makes users leave. Nobody is asked: not the rules of notices rooms, nor the user."""

    def __init__(self, db: Database, clock: Clock, submit: Submit, remote: RemoteMembership) -> None:
        self._db = db
        self._clock = clock
        self._submit = submit
        self._remote = remote

    async def leave(self, items: Sequence[Item], pair_of: PairOf) -> list[Item]:
        """Have the users out of the rooms; gives the items as they then are, with event ids or causes of failure.

        Who is not in the room is skipped, unless the item was claimed before: then it was this that made them leave.
        """
        found = await self._db.snapshot(_memberships_of, [pair_of(item) for item in items])
        pairs = [
            pair_of(item) for item, (membership, _) in zip(items, found, strict=True) if membership in IN_ROOM
        ]
        results = iter(await self._leave_all(pairs))
        settled = []
        for item, (membership, event_id) in zip(items, found, strict=True):
            if membership in IN_ROOM:
                settled.append(_settled(item, next(results)))
            elif membership == "leave" and item.state == CLAIMED:
                settled.append(Item(item.place, item.item, DONE, event_id))
            else:
                settled.append(Item(item.place, item.item, SKIPPED))
        return settled

    async def _leave_all(self, pairs: Sequence[tuple[str, str]]) -> list[EventID | MatrixError]:
        outside = {pair: None for pair in pairs if await self._remote.is_elsewhere(*pair)}
        drafts = [self._draft(*pair) for pair in pairs if pair not in outside]
        inside = iter(await self._submit_patiently(drafts))
        free = asyncio.Semaphore(REMOTE_AT_ONCE)

        async def reject(room_id: str, user_id: str) -> EventID | MatrixError:
            async with free:
                try:
                    return await self._remote.leave(user_id, room_id, {"membership": "leave"})
                except MatrixError as error:
                    return error

        answers = iter(await asyncio.gather(*(reject(*pair) for pair in outside)))
        return [next(answers) if pair in outside else next(inside) for pair in pairs]

    async def _submit_patiently(self, drafts: Sequence[Draft]) -> list[EventID | MatrixError]:
        """Submit the drafts; those for which a room was too busy are tried again."""
        results = await self._submit.submit_many(drafts)
        for _ in range(TRIES - 1):
            busy = [place for place, result in enumerate(results) if _is_passing(result)]
            if not busy:
                break
            again = await self._submit.submit_many([drafts[place] for place in busy])
            for place, result in zip(busy, again, strict=True):
                results[place] = result
        return results

    def _draft(self, room_id: str, user_id: str) -> Draft:
        return Draft(
            room_id=room_id,
            type=MEMBER,
            sender=user_id,
            content={"membership": "leave"},
            state_key=user_id,
            origin_server_ts=self._clock.now(),
        )


def _is_passing(result: EventID | MatrixError) -> bool:
    return isinstance(result, MatrixError) and result.status >= 500


def _settled(item: Item, result: str | MatrixError) -> Item:
    if isinstance(result, MatrixError):
        return Item(item.place, item.item, FAILED, result.message)
    return Item(item.place, item.item, DONE, result)


async def _memberships_of(tx: Read, pairs: list[tuple[str, str]]) -> list[tuple[str | None, str | None]]:
    """Give the membership and its event for each room and user."""
    found: list[tuple[str | None, str | None]] = []
    for room_id, user_id in pairs:
        row = await memberships.find(tx, room_id, user_id)
        found.append((None, None) if row is None else (row.membership, row.event_id))
    return found


class EvacuateRoom:
    """The job in which every local user leaves a room; its subject is the room, its items are users."""

    name = EVACUATE_ROOM
    batch = 200

    def __init__(self, db: Database, leaving: Leaving) -> None:
        self._db = db
        self._leaving = leaving

    async def plan(self, job: Job) -> Sequence[str]:
        """Everyone of ours in the room."""
        return await self._db.snapshot(memberships.local_members, job.subject, IN_ROOM)

    async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
        """Have these users out of the room."""
        return await self._leaving.leave(items, lambda item: (job.subject, item.item))


class EvacuateUser:
    """The job in which a user leaves every room; its subject is the user, its items are rooms."""

    name = EVACUATE_USER
    batch = 50

    def __init__(self, db: Database, leaving: Leaving) -> None:
        self._db = db
        self._leaving = leaving

    async def plan(self, job: Job) -> Sequence[str]:
        """Every room that the user is in."""
        rooms = await self._db.snapshot(memberships.rooms_of, job.subject, IN_ROOM)
        return [room.room_id for room in rooms]

    async def work(self, job: Job, items: Sequence[Item]) -> Sequence[Item]:
        """Have the user out of these rooms."""
        return await self._leaving.leave(items, lambda item: (item.item, job.subject))


class Deactivate(EvacuateUser):
    """The job that ends an account, which a crash may have left half ended, and has it out of every room."""

    name = KIND

    def __init__(self, db: Database, leaving: Leaving, end: AccountEnd) -> None:
        super().__init__(db, leaving)
        self._end = end

    async def plan(self, job: Job) -> Sequence[str]:
        """Every room that the user is in, once the account is ended."""
        await self._end.end(job.subject, erase=bool(job.arguments.get("erase")))
        return await super().plan(job)
