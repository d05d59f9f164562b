"""Where local events enter: one queue for each room, chained drafts, one unit of commits."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

import msgspec

from chamberlain.matrix.errcodes import ErrCode
from chamberlain.matrix.errors import Forbidden, MatrixError
from chamberlain.matrix.events import Draft, Event
from chamberlain.matrix.ids import EventID, RoomID
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import RoomVersion
from chamberlain.rooms.pipeline.away import Away, Unsigned
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.consequences import follow_from, relation_of
from chamberlain.rooms.pipeline.draft import Drafting
from chamberlain.rooms.pipeline.fork import Forking
from chamberlain.rooms.pipeline.head import Head, Heads, Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.notifications import Notifications
from chamberlain.rooms.pipeline.policy import Policy
from chamberlain.rooms.pipeline.redact import redact_target
from chamberlain.rooms.pipeline.summary import NEW_SUMMARY
from chamberlain.rooms.pipeline.threads import thread_of
from chamberlain.rooms.pipeline.waiting import Made, Turn, Txn, Waiting
from chamberlain.runtime.cache import Cache
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.commit import AliasTaken, Unit, commit
from chamberlain.store.database import Database
from chamberlain.store.events import find_by_txn
from chamberlain.store.relations import has_annotation
from chamberlain.store.rooms import RoomRow
from chamberlain.store.state.lines import Point

T = TypeVar("T")

UNIT_SIZE: Final = 100
TRIES: Final = 8
TXNS_KEPT: Final = 1_000
"""Those under way and the latest; the database knows the others."""


class StateMoved(MatrixError):
    """The state event that was to be replaced is not the current one any more."""

    def __init__(self) -> None:
        super().__init__(ErrCode.UNKNOWN, "The room's state has changed meanwhile", status=409)


class Submit:
    """Takes local drafts to committed events."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        tasks: Tasks,
        heads: Heads,
        drafting: Drafting,
        forking: Forking,
        notifications: Notifications,
        server_name: str,
        ids: EventIds,
        policy: Policy,
    ) -> None:
        self._db = db
        self._clock = clock
        self._tasks = tasks
        self._heads = heads
        self._drafting = drafting
        self._forking = forking
        self._notifications = notifications
        self.server_name = server_name
        self._ids = ids
        self._policy = policy
        self._away = Away()
        self._queues: dict[str, deque[Waiting | Turn]] = {}
        self._txns: Cache[Txn, asyncio.Future[EventID]] = Cache(TXNS_KEPT, "transactions")

    async def send(
        self,
        sender: str,
        room_id: str,
        kind: str,
        content: JsonObject,
        *,
        state_key: str | None = None,
        redacts: str | None = None,
        txn: Txn | None = None,
        ts: int | None = None,
        instead_of: str | None = None,
    ) -> EventID:
        """Have the event in the room; give its id. The same `txn` gives the same id, also after a restart.

        Raises:
            StateMoved: the event's state key does not hold the event `instead_of` any more.
            Forbidden: the sender is not in the room, or has not the power.
            NotFound: a redaction of an event that the room does not have.
            BadJson, MatrixError (TOO_LARGE): the content is none that an event may have.
            MatrixError: DUPLICATE_ANNOTATION for a second reaction with the same key; what the room's policy server
                says where it refuses the event.
        """
        draft = Draft(
            room_id=room_id,
            type=kind,
            sender=sender,
            content=content,
            state_key=state_key,
            redacts=redacts,
            origin_server_ts=self._clock.now() if ts is None else ts,
        )
        if txn is None:
            return await self._enqueue(draft, None, instead_of)
        known = self._txns.get(txn)
        if known is None or (known.done() and (known.cancelled() or known.exception() is not None)):
            known = self._enqueue(draft, txn)
            self._txns.set(txn, known)
        return await asyncio.shield(known)

    async def is_known(self, txn: Txn) -> bool:
        """Say whether this transaction id has made an event, or is about to."""
        return txn in self._txns or (
            await self._db.read(find_by_txn, txn.user_id, txn.device, txn.path, txn.txn_id) is not None
        )

    async def submit_many(self, drafts: Sequence[Draft]) -> list[EventID | MatrixError]:
        """Have many events, each in its room; give each its id, or the error that refused it."""
        futures = [self._enqueue(draft, None) for draft in drafts]
        results = await asyncio.gather(*map(asyncio.shield, futures), return_exceptions=True)
        outcome: list[EventID | MatrixError] = []
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, MatrixError):
                raise result
            outcome.append(result)
        return outcome

    async def create(
        self,
        room_id: str,
        version: RoomVersion,
        drafts: Sequence[Draft],
        *,
        alias: str | None = None,
        published: bool = False,
    ) -> RoomID:
        """Have a new room whose first events are these, the create event foremost; give its id.

        In a room version whose ids are hashes, `room_id` is not looked at, here and in the drafts.

        Raises:
            MatrixError: ROOM_IN_USE where the alias is taken, or what the first draft that is not allowed
                raises; nothing of the room is kept.
        """
        first = drafts[0]
        row = RoomRow(
            room_id=room_id,
            version=version.id,
            creator=first.sender,
            created_at=first.origin_server_ts,
            line=(await self._ids.lines.take(1))[0],
            ver=0,
            head_seq=-1,
            extremities="[]",
            notify_count=0,
            highlight_count=0,
            thread_notify_count=0,
        )
        head = Head(row, dict(NEW_SUMMARY))
        chain = Chain(head)
        nids = await self._ids.events.take(len(drafts))
        for draft, nid in zip(drafts, nids, strict=True):
            draft.room_id = head.room_id
            event = await self._extend(chain, Waiting(draft), nid)
            head.room_id = event.room_id
        unit = chain.unit(None)
        unit.alias, unit.published = alias, published
        try:
            point = await self._commit(unit)
        except AliasTaken:
            raise MatrixError(ErrCode.ROOM_IN_USE, "The alias belongs to another room") from None
        if point is None:
            raise MatrixError(ErrCode.ROOM_IN_USE, "There is such a room already")
        chain.adopt(point)
        self._heads.keep(head)
        return RoomID(head.room_id)

    def _enqueue(
        self, draft: Draft, txn: Txn | None, instead_of: str | None = None
    ) -> asyncio.Future[EventID]:
        waiting = Waiting(draft, txn, instead_of)
        self._queue(draft.room_id, waiting)
        return waiting.future

    async def in_turn(self, room_id: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do work on a room after all that waits for it, and before all that comes later; give what it gives.

        It must wait for nothing but the database, or the room stands still.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue(room_id, Turn(work, future))
        return await future

    def _queue(self, room_id: str, entry: Waiting | Turn) -> None:
        queue = self._queues.get(room_id)
        if queue is not None:
            queue.append(entry)
        else:
            self._queues[room_id] = deque((entry,))
            self._tasks.spawn("room queue", self._work_off(room_id))

    @property
    def queued(self) -> dict[str, int]:
        """How many events wait, in each room that has events under way."""
        return {room_id: len(queue) for room_id, queue in self._queues.items()}

    async def _work_off(self, room_id: str) -> None:
        queue = self._queues[room_id]
        try:
            while queue:
                first = queue.popleft()
                if isinstance(first, Turn):
                    await first.take()
                    continue
                unit = [first]
                while first.signed is None and len(unit) < UNIT_SIZE and _is_unsigned(queue):
                    unit.append(cast(Waiting, queue.popleft()))
                for waiting in unit:
                    # Not before: the unit that it left may be under way still, and would take it for its own.
                    waiting.is_away = False
                await self._submit_unit(room_id, unit)
        finally:
            del self._queues[room_id]
            for entry in queue:
                entry.deliver()

    async def _submit_unit(self, room_id: str, unit: Sequence[Waiting]) -> None:
        try:
            for _ in range(TRIES):
                if await self._try_or_settle(room_id, [one for one in unit if not one.is_away]):
                    break
                self._heads.forget(room_id)
            if refused := [one for one in unit if isinstance(one.result, MatrixError)]:
                await self._settle_repeated(refused)
        except Exception as error:
            self._heads.forget(room_id)
            for waiting in unit:
                if not waiting.is_away:
                    waiting.fail(error)
            return
        for waiting in unit:
            if not waiting.is_away:
                waiting.deliver()

    async def _try_or_settle(self, room_id: str, unit: Sequence[Waiting]) -> bool:
        """Try what is not settled; where that fails, settle what another worker has made meanwhile."""
        try:
            if await self._try_unit(room_id, [waiting for waiting in unit if not waiting.is_settled]):
                return True
        except Exception:
            # Transaction ids are not looked up before: the database refuses one that it has already.
            if not await self._settle_repeated(unit):
                raise
            return False
        await self._settle_repeated(unit)
        return False

    async def _settle_repeated(self, unit: Sequence[Waiting]) -> bool:
        """Give requests that repeat earlier ones the events that these have made; say whether there were any."""
        settled = False
        for waiting in unit:
            txn = waiting.txn
            if txn is None or waiting.is_settled:
                continue
            earlier = await self._db.read(find_by_txn, txn.user_id, txn.device, txn.path, txn.txn_id)
            if earlier is not None:
                waiting.result = EventID(earlier)
                waiting.is_settled = settled = True
        return settled

    async def _try_unit(self, room_id: str, unit: Sequence[Waiting]) -> bool:
        head = await self._heads.find(room_id)
        if head is None:
            for waiting in unit:
                waiting.result = Forbidden("You are not in this room")
            return True
        if not unit:
            return True
        chain = Chain(head)
        if unit[0].signed is not None and not chain.is_followed_by(unit[0].signed.event):
            return await self._try_on_fork(chain, unit[0], unit[0].signed)
        if chain.is_crowded:
            return await self._tie(chain, unit[0]) and await self._try_unit(room_id, unit[1:])
        return await self._try_chain(chain, unit)

    async def _try_chain(self, chain: Chain, unit: Sequence[Waiting]) -> bool:
        nids = await self._ids.events.take(len(unit))
        unsigned: list[tuple[Waiting, Unsigned]] = []
        for waiting, nid in zip(unit, nids, strict=True):
            if self._away.keep_back(waiting):
                continue
            try:
                waiting.result = (await self._extend(chain, waiting, nid)).event_id
            except Unsigned as needed:
                unsigned.append((waiting, needed))
            except MatrixError as error:
                waiting.result = error
        if chain.writes and not await self.commit_chain(chain):
            for waiting in unit:
                # There is no such event.
                waiting.result = None
            return False
        # What they follow is there: not before may they leave.
        for waiting, reason in unsigned:
            if not self._away.keep_back(waiting):
                self._send_away(waiting, reason)
        return True

    def _send_away(self, waiting: Waiting, unsigned: Unsigned) -> None:
        self._away.leave(waiting)
        self._tasks.spawn("policy server", self._have_signed(waiting, unsigned))

    async def _have_signed(self, waiting: Waiting, unsigned: Unsigned) -> None:
        """Outside of the room's turn: the event is on a fork where the room goes on meanwhile."""
        room_id = waiting.draft.room_id
        try:
            event = await self._policy.sign(unsigned.server, unsigned.made.event)
            waiting.signed = Made(event, unsigned.made.auth)
            self._queue(room_id, waiting)
            await asyncio.wait((waiting.future,))
        except MatrixError as error:
            waiting.result = error
            await self._settle_repeated([waiting])
            waiting.deliver()
        except Exception as error:
            waiting.fail(error)
        finally:
            following = self._away.come_back(waiting)
            if following is not None:
                self._queue(room_id, following)

    async def _tie(self, chain: Chain, waiting: Waiting) -> bool:
        """Have an event in a room with more ends than it can follow; False where that has moved.

        The state before it is what those come to that it follows, and so not the current one.
        """
        if self._away.keep_back(waiting):
            return True
        try:
            made = await self._drafting.make(chain, waiting.draft)
            server = await self._policy.server_for(chain, made.event)
        except MatrixError as error:
            waiting.result = error
            return True
        if server is not None:
            self._send_away(waiting, Unsigned(made, server))
            return True
        return await self._try_on_fork(chain, waiting, made)

    async def _try_on_fork(self, chain: Chain, waiting: Waiting, made: Made) -> bool:
        """Have an event that does not follow all ends of the room in it; False where that has moved."""
        try:
            await self._drafting.load(chain, waiting.draft)
            previous = await self._check(chain, waiting, made.event)
            if previous is not None and _says_the_same(previous.event, made.event):
                waiting.result = previous.event.event_id
                return True
            await redact_target(self._db, self._heads, chain, made.event)
            txn = None if waiting.txn is None else self._txn_row(waiting.txn, made.event)
            outcome = await self._forking.enter(chain.head, made.event, outgoing=True, txn=txn)
        except MatrixError as error:
            waiting.result = error
            return True
        if outcome is None:
            return False
        waiting.result = made.event.event_id if outcome.refused is None else Forbidden(outcome.refused)
        waiting.is_settled = True
        self._heads.forget(chain.head.room_id)
        return True

    async def commit_chain(self, chain: Chain) -> bool:
        """Write a chain and move its head; False where another worker has moved the room."""
        spare = (await self._ids.lines.take(1))[0] if chain.renewal_is_due else None
        point = await self._commit(chain.unit(spare))
        if point is None:
            return False
        chain.adopt(point)
        self._heads.moved(chain.head)
        return True

    async def _commit(self, unit: Unit) -> Point | None:
        await self._heads.keys.number(unit)
        return await self._db.write_batch(commit, unit)

    async def _extend(self, chain: Chain, waiting: Waiting, nid: int) -> Event:
        """Have the chain end with the event of a draft, or find that this changes nothing; give the event.

        Raises:
            Unsigned: the policy server is to be asked first; the chain is as it was.
            MatrixError: it may not be.
        """
        draft, txn, made = waiting.draft, waiting.txn, waiting.signed
        if made is None:
            made = await self._drafting.make(chain, draft)
        else:
            await self._drafting.load(chain, draft)
        event = made.event
        previous = await self._check(chain, waiting, event)
        if previous is not None and _says_the_same(previous.event, event):
            return previous.event
        if waiting.signed is None:
            server = await self._policy.server_for(chain, event)
            if server is not None:
                raise Unsigned(made, server)
        await redact_target(self._db, self._heads, chain, event)
        stored = Stored(event, nid, 1 + max((entry.height for entry in made.auth), default=0))
        notified = await self._notifications.of(event, chain)
        follow_from(
            chain,
            stored,
            previous,
            notified,
            server_name=self.server_name,
            received_at=self._clock.now(),
            txn=None if txn is None else (txn.device, txn.txn_id),
            thread=await thread_of(self._db, event),
        )
        chain.drafted[event.event_id] = event
        if event.state_key is not None:
            chain.auth.extend((nid, entry.nid) for entry in made.auth)
        if txn is not None:
            chain.txns.append(self._txn_row(txn, event))
        return event

    async def _check(self, chain: Chain, waiting: Waiting, event: Event) -> Stored | None:
        """What this server asks of its own events beside the auth rules; give the state event that would give way."""
        previous = chain.state(event.key) if event.key is not None else None
        instead_of = waiting.instead_of
        if instead_of is not None and (previous is None or previous.event.event_id != instead_of):
            raise StateMoved
        if previous is None or not _says_the_same(previous.event, event):
            await self._refuse_second_annotation(chain, event)
        return previous

    def _txn_row(self, txn: Txn, event: Event) -> dict[str, Any]:
        return msgspec.structs.asdict(txn) | {"event_id": event.event_id, "at": self._clock.now()}

    async def _refuse_second_annotation(self, chain: Chain, event: Event) -> None:
        target, kind, key = relation_of(event) or (None, None, None)
        if target is None or kind != "m.annotation" or key is None:
            return
        same = (
            other.sender == event.sender
            and other.type == event.type
            and relation_of(other) == (target, kind, key)
            for other in chain.drafted.values()
        )
        if any(same) or await self._db.read(has_annotation, target, event.sender, event.type, key):
            raise MatrixError(ErrCode.DUPLICATE_ANNOTATION, "You have sent this annotation already")


def _is_unsigned(queue: deque[Waiting | Turn]) -> bool:
    """Whether the next one is a draft."""
    return bool(queue) and isinstance(queue[0], Waiting) and queue[0].signed is None


def _says_the_same(previous: Event, event: Event) -> bool:
    """Whether two asked for the same at once: nothing changes a second time."""
    return previous.sender == event.sender and previous.content == event.content
