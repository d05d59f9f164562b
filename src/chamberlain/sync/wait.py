"""Who waits for what: the change stream in, woken long polls out. An idle user costs nothing."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import text_of
from chamberlain.rooms.pipeline.consequences import Arrived
from chamberlain.rooms.typing import Typing
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store import kinds
from chamberlain.store.account_data import IGNORED_USERS
from chamberlain.store.database import Database
from chamberlain.store.memberships import rooms_of
from chamberlain.store.receipts import Receipt
from chamberlain.store.tx import Change
from chamberlain.sync.interest import Interest, Note
from chamberlain.sync.log import RecentLog

USERS_KEPT: Final = 5_000
OWN_LATER_S: Final = 0.01
"""How much later than others a user's polls wake for an event of their own. A web client that hears of the first
reply of a thread from /sync before it has the answer to its sending takes the sending for failed, and tries in
vain for half a minute before it sends anything else."""
ROUNDS_LATER: Final = 5
"""How many rounds of the event loop a woken poll lets pass: whoever made the news is answered first. Clients
take their own event from /sync badly before they know its id, and a big room would keep its sender waiting."""
_NOTED: Final = frozenset(
    {
        kinds.PRIVATE_RECEIPT,
        kinds.ACCOUNT_DATA,
        kinds.ROOM_ACCOUNT_DATA,
        kinds.TO_DEVICE,
        kinds.ONE_TIME_KEYS,
        kinds.USER_SIGNATURE,
        kinds.MEMBERSHIP,
    }
)


class Waiting:
    """The users who listen on this worker, and the last changes."""

    def __init__(self, db: Database, clock: Clock, typing: Typing) -> None:
        self._db = db
        self._clock = clock
        self._typing = typing
        self._tasks = Tasks()
        self._users: dict[str, Interest] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._unplaced: dict[int, str] = {}
        """Device lists that changed, of users of whom it is not known yet in which rooms they are."""
        self._for_position: set[asyncio.Future[None]] = set()
        self.log = RecentLog(db.position)
        self.is_closing = False
        db.subscribe(self._told)
        typing.subscribe(self._typed)

    async def listen(self, user_id: str) -> Interest:
        """What this user has to be told of, from now on."""
        interest = self._users.pop(user_id, None)
        if interest is None:
            interest = Interest(user_id, self._typing.position)
        self._users[user_id] = interest
        while not interest.is_loaded or user_id in self._loading:
            loading = self._loading.get(user_id)
            if loading is None:
                loading = self._loading[user_id] = self._tasks.spawn("load a listener", self._load(interest))
            await asyncio.shield(loading)
        if len(self._users) > USERS_KEPT:
            self._evict()
        return interest

    def find(self, user_id: str) -> Interest | None:
        """A user who listens here already, or None."""
        interest = self._users.get(user_id)
        if interest is None or not interest.is_loaded or user_id in self._loading:
            return None
        return interest

    async def _load(self, interest: Interest) -> None:
        try:
            interest.is_loaded = True
            before = len(interest.notes)
            rooms = await self._db.read(rooms_of, interest.user_id, ("join",))
            told = {note.ref for note in list(interest.notes)[before:] if note.kind == kinds.MEMBERSHIP}
            now = {membership.room_id for membership in rooms}
            for room_id in [room_id for room_id in interest.joined if room_id not in now | told]:
                self._leave(interest, room_id)
            entered = now - told - interest.joined.keys()
            for room_id in entered:
                interest.enter(self.log.room(room_id))
            interest.floor = self._db.position
            if entered:
                # Of who typed there until now, and of who was there, nothing is noted.
                interest.ephemeral_floor = self._typing.position
        except BaseException:
            interest.is_loaded = False
            raise
        finally:
            del self._loading[interest.user_id]

    def _leave(self, interest: Interest, room_id: str) -> None:
        log = interest.leave(room_id)
        if log is not None:
            self.log.release(log)

    def _evict(self) -> None:
        for user_id, interest in list(self._users.items())[: USERS_KEPT // 20 + 1]:
            if not interest.waiters and interest.is_loaded:
                del self._users[user_id]
                for room_id in list(interest.joined):
                    self._leave(interest, room_id)

    # ------------------------------------------------------------------------------------------ waiting

    def is_unsure(self, since: int) -> bool:
        """Whether it is still being found out whom a change after `since` concerns."""
        return bool(self._unplaced) and max(self._unplaced) > since

    async def wait(self, interest: Interest, seconds: float) -> None:
        """Return when there may be news for the user, at the latest after `seconds`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, _release, waiter)
        interest.waiters.add(waiter)
        try:
            await waiter
            for _ in range(ROUNDS_LATER):
                await asyncio.sleep(0)
        finally:
            interest.waiters.discard(waiter)
            timer.cancel()

    async def until_position(self, position: int, seconds: float) -> None:
        """Return when this worker knows of the changes up to a position, at the latest after `seconds`."""
        if self._db.position < position:
            await self._db.catch_up()
        deadline = self._clock.monotonic() + seconds
        while self._db.position < position and self._clock.monotonic() < deadline and not self.is_closing:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            timer = self._clock.call_later(deadline - self._clock.monotonic(), _release, waiter)
            self._for_position.add(waiter)
            try:
                await waiter
            finally:
                self._for_position.discard(waiter)
                timer.cancel()

    @property
    def position(self) -> int:
        """The last change that this worker knows of."""
        return self._db.position

    @property
    def count(self) -> int:
        """How many long polls wait."""
        return sum(len(interest.waiters) for interest in self._users.values())

    def release_all(self) -> None:
        """Let nobody wait any more: the server stops."""
        self.is_closing = True
        for interest in self._users.values():
            interest.wake()
        _wake_all(self._for_position)

    async def close(self) -> None:
        """End the background work."""
        self.release_all()
        await self._tasks.close()

    # ------------------------------------------------------------------------------------- change stream

    def _told(self, changes: Sequence[Change]) -> None:
        woken: set[Interest] = set()
        members: dict[tuple[str, str], str] = {}
        for change in changes:
            kind = change.kind
            if kind == kinds.EVENT:
                self._event(change, woken, members)
            elif kind in _NOTED:
                self._own(change, woken, members)
            elif kind == kinds.RECEIPT:
                self._receipt(change, woken)
            elif kind == kinds.DEVICE_LIST:
                self._device_list(change, woken)
            elif kind == kinds.ACCESS:
                interest = self._users.get(change.entity)
                if interest is not None:
                    interest.access += 1
                    woken.add(interest)
            elif kind == kinds.ROOM:
                self.log.forget(change.entity, change.position)
        for interest in woken:
            interest.wake()
        if self._for_position:
            _wake_all(self._for_position)

    def _event(self, change: Change, woken: set[Interest], members: dict[tuple[str, str], str]) -> None:
        arrived = change.payload
        if isinstance(arrived, Arrived):
            log = self.log.add(change.position, arrived)
            event = arrived.event
            if event.type == MEMBER and event.state_key is not None:
                members[event.room_id, event.state_key] = text_of(event.content, "membership") or "leave"
        else:
            log = self.log.room(change.entity)
            log.forget(change.position)
            event = None
        self._touch(log.active, change, woken)
        own = None if event is None else self._users.get(event.sender)
        if own in woken:
            woken.discard(own)
            self._clock.call_later(OWN_LATER_S, own.wake)

    def _receipt(self, change: Change, woken: set[Interest]) -> None:
        receipt = change.payload
        if isinstance(receipt, Receipt):
            log = self.log.add_receipt(change.position, receipt)
        else:
            log = self.log.room(change.entity)
            log.receipts.clear()
            log.receipts_floor = change.position
        self._touch(log.active, change, woken)

    def _touch(self, active: set[Interest], change: Change, woken: set[Interest]) -> None:
        room_id, position = change.entity, change.position
        for interest in active:
            interest.touch(room_id, position)
        woken |= active

    def _own(self, change: Change, woken: set[Interest], members: dict[tuple[str, str], str]) -> None:
        interest = self._users.get(change.entity)
        if interest is None:
            return
        interest.note(Note(change.position, change.kind, change.ref, change.payload))
        woken.add(interest)
        if change.kind == kinds.MEMBERSHIP and change.ref is not None:
            membership = members.get((change.ref, change.entity))
            if membership is None:
                # It came through another worker, which alone knows what it is.
                interest.is_loaded = False
            elif membership == "join":
                log = self.log.room(change.ref)
                interest.enter(log)
                interest.touch(change.ref, change.position)
            else:
                self._leave(interest, change.ref)
        elif change.kind == kinds.ACCOUNT_DATA and change.ref == IGNORED_USERS:
            interest.ignored = None

    def _device_list(self, change: Change, woken: set[Interest]) -> None:
        interest = self.find(change.entity)
        if interest is not None:
            self._tell_device_list(change.position, change.entity, interest.joined, woken)
            return
        self._unplaced[change.position] = change.entity
        self._tasks.spawn("find who follows a device list", self._place(change.position, change.entity))

    async def _place(self, position: int, user_id: str) -> None:
        try:
            rooms = await self._db.read(rooms_of, user_id, ("join",))
            woken: set[Interest] = set()
            self._tell_device_list(position, user_id, [room.room_id for room in rooms], woken)
        finally:
            del self._unplaced[position]
        for interest in woken:
            interest.wake()

    def _tell_device_list(
        self, position: int, user_id: str, rooms: Iterable[str], woken: set[Interest]
    ) -> None:
        concerned = {
            interest
            for room_id in rooms
            if (log := self.log.rooms.get(room_id)) is not None
            for interest in log.active
        }
        own = self._users.get(user_id)
        if own is not None:
            concerned.add(own)
        note = Note(position, kinds.DEVICE_LIST, user_id)
        for interest in concerned:
            interest.note(note)
        woken |= concerned

    # ----------------------------------------------------------------------------------- not durable news

    def _typed(self, room_id: str) -> None:
        log = self.log.rooms.get(room_id)
        if log is None:
            return
        position = self._typing.position
        for interest in log.active:
            interest.typing_moved(room_id, position)
            interest.wake()

    def presence_moved(self, user_id: str, position: int, rooms: Iterable[str]) -> None:
        """A user has another presence; everyone who shares one of these rooms with them hears of it."""
        concerned: set[Interest] = set()
        own = self._users.get(user_id)
        if own is not None:
            concerned.add(own)
        for room_id in rooms:
            log = self.log.rooms.get(room_id)
            if log is not None:
                concerned |= log.active
        for interest in concerned:
            interest.presence_moved(user_id, position)
            interest.wake()

    def introduce(self, newcomer: str, room_id: str, others: Iterable[str], position: int) -> None:
        """Those who come to share a room hear of each other's presence; `others`: those who do not listen here."""
        own = self._users.get(newcomer)
        log = self.log.rooms.get(room_id)
        active = () if log is None else [interest for interest in log.active if interest is not own]
        if own is not None:
            for user_id in (*others, *(interest.user_id for interest in active)):
                own.presence_moved(user_id, position)
            own.wake()
        for interest in active:
            interest.presence_moved(newcomer, position)
            interest.wake()


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _wake_all(waiters: set["asyncio.Future[None]"]) -> None:
    for waiter in waiters:
        _release(waiter)
