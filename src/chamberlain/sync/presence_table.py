"""What is known of everybody's presence: the same at every worker, as it is changed by what the bus brings alone."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock, Timer
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database
from chamberlain.store.memberships import rooms_of
from chamberlain.sync.present import UNKNOWN, Heard, Here, Moved, News, Ours, Presence, Theirs
from chamberlain.sync.wait import Waiting

TOPIC: Final = "presence"
FORGET_SECONDS: Final = 800.0
"""Who was not said to be at a worker for so long is not."""
USERS_KEPT: Final = 20_000
"""From so many users on those who are offline are forgotten."""
ROOM_BYTES: Final = 1_000
"""Names of rooms in one piece of news: it has to be short."""


class User:
    """What is known of one user."""

    __slots__ = ("at", "ended", "idle", "is_here", "is_ours", "presence", "rooms", "syncing", "timer", "told")

    def __init__(self, presence: Presence, *, is_ours: bool) -> None:
        self.presence = presence
        self.is_ours = is_ours
        self.rooms: set[str] | None = None
        """Where they are. Of ours it is only used while `Waiting` does not know it; None: it has to be read."""
        self.at: dict[str, float] = {}
        """The workers at which one of ours syncs, and when that was heard, by the monotonic clock."""
        self.idle = False
        """Unavailable for doing nothing: only doing something ends that, not syncing on."""
        self.told = 0
        """When (ms) other workers were last told that they did something, or what their server says."""
        # What this worker alone knows:
        self.syncing = 0
        """How many of their clients wait here right now."""
        self.is_here = False
        """Whether it has told that they sync here."""
        self.ended = 0.0
        """When the last sync had its answer, or their server said something, by the monotonic clock."""
        self.timer: Timer | None = None

    @property
    def heard(self) -> Heard:
        """The presence as it is told."""
        shown = self.presence
        return Heard(shown.state, shown.status, shown.last_active, shown.currently_active)


class PresenceTable:
    """The users, by id. `changed` is called after news of one of them."""

    kind = News

    def __init__(
        self, db: Database, clock: Clock, waiting: Waiting, bus: Bus, changed: Callable[[str, User], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._waiting = waiting
        self._bus = bus
        self._changed = changed
        self._tasks = Tasks()
        self._subscribers: list[Callable[[str], None]] = []
        self.users: dict[str, User] = {}

    async def close(self) -> None:
        """Forget everybody."""
        await self._tasks.close()
        for user in self.users.values():
            if user.timer is not None:
                user.timer.cancel()
        self.users.clear()

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Have it called with the user id whenever somebody's presence changes."""
        self._subscribers.append(subscriber)

    def user(self, user_id: str, *, is_ours: bool) -> User:
        """The user, who is offline if nothing was known."""
        user = self.users.get(user_id)
        if user is None:
            if len(self.users) >= USERS_KEPT:
                self._forget_offline()
            user = self.users[user_id] = User(UNKNOWN, is_ours=is_ours)
        return user

    def _forget_offline(self) -> None:
        for user_id, user in list(self.users.items()):
            if user.presence.state == "offline" and not user.syncing and not user.at:
                del self.users[user_id]

    def rooms_of(self, user_id: str, user: User) -> Iterable[str]:
        """Where the user is, as far as that is known here."""
        listener = self._waiting.find(user_id) if user.is_ours else None
        return (user.rooms or ()) if listener is None else listener.joined.keys()

    def unsure(self, user_id: str) -> None:
        """A user of this server is in other rooms than before."""
        user = self.users.get(user_id)
        if user is not None and user.rooms is not None:
            user.rooms = None
            self._tasks.spawn("read where a user is", self._read_rooms(user_id))

    async def _read_rooms(self, user_id: str) -> None:
        found = await self._db.read(rooms_of, user_id, ("join",))
        self.user(user_id, is_ours=True).rooms = {membership.room_id for membership in found}

    def forget_unheard(self) -> None:
        """Those of whom a worker has said nothing for long are not there: it must have been missed."""
        before = self._clock.monotonic() - FORGET_SECONDS
        for user_id, user in self.users.items():
            for worker in [worker for worker, heard in user.at.items() if heard < before]:
                self._bus.tell(TOPIC, f"at {worker} {user_id}", Here(user_id, worker, False))

    # ---------------------------------------------------------------------------------- what the bus brings

    async def prepare(self, news: News) -> None:
        """Know where a user is whose clients sync at another worker."""
        if isinstance(news, Ours | Here) and self._waiting.find(news.user_id) is None:
            user = self.users.get(news.user_id)
            if user is None or user.rooms is None:
                await self._read_rooms(news.user_id)

    def heard(self, worker: str, news: News) -> None:
        """What is told is so."""
        user_id = news.user_id
        if isinstance(news, Moved):
            self._move(user_id, news)
            return
        user = self.user(user_id, is_ours=not isinstance(news, Theirs))
        if isinstance(news, Ours):
            self._show(user_id, user, news.heard, idle=news.idle)
        elif isinstance(news, Here):
            self._be_at(user_id, user, news)
        else:
            if news.rooms is not None:
                user.rooms = {*news.rooms}
            user.ended = self._clock.monotonic()
            self._show(user_id, user, news.heard)
            user.told = self._clock.now()
        self._changed(user_id, user)

    def _show(self, user_id: str, user: User, heard: Heard, *, idle: bool = False) -> None:
        before = user.presence
        user.idle = idle
        user.told = max(user.told, heard.last_active or 0)
        user.presence = Presence(
            heard.state, heard.status, heard.last_active, before.position, heard.currently_active
        )
        if heard.looks_different(before):
            self._tell(user_id, user)

    def _be_at(self, user_id: str, user: User, news: Here) -> None:
        if not news.here:
            user.at.pop(news.worker, None)
            self._end_if_gone(user_id, user)
            return
        user.at[news.worker] = self._clock.monotonic()
        if news.known is not None and user.presence.state == "offline":
            self._show(user_id, user, news.known.heard, idle=news.known.idle)

    def _end_if_gone(self, user_id: str, user: User) -> None:
        if not user.at and user.presence.state != "offline":
            self._show(user_id, user, msgspec.structs.replace(user.heard, state="offline"))

    def _move(self, user_id: str, news: Moved) -> None:
        user = self.users.get(user_id)
        rooms = None if user is None else user.rooms
        if not news.joined:
            if rooms is not None:
                rooms.difference_update(news.rooms)
            return
        if rooms is not None:
            rooms.update(news.rooms)
        for room_id in news.rooms:
            self._waiting.introduce(user_id, room_id, self._there(room_id, user_id), self._bus.position)

    def _there(self, room_id: str, newcomer: str) -> Iterator[str]:
        for user_id, user in self.users.items():
            if (
                user_id != newcomer
                and user.presence.state != "offline"
                and room_id in self.rooms_of(user_id, user)
            ):
                yield user_id

    def _tell(self, user_id: str, user: User) -> None:
        """Those who share a room are told of the user's presence."""
        position = self._bus.position
        user.presence = msgspec.structs.replace(user.presence, position=position)
        self._waiting.presence_moved(user_id, position, self.rooms_of(user_id, user))
        for subscriber in self._subscribers:
            subscriber(user_id)

    def lost(self, worker: str) -> None:
        """Nobody syncs at the worker any more."""
        for user_id, user in self.users.items():
            if user.at.pop(worker, None) is not None:
                self._end_if_gone(user_id, user)

    def repeat(self, *, all_of_it: bool) -> None:
        """Tell who of ours is here, and what is known of those of other servers."""
        for user_id, user in self.users.items():
            if user.is_here:
                known = Ours(user_id, user.heard, user.idle)
                here = Here(user_id, self._bus.name, True, known)
                self._bus.tell(TOPIC, f"at {self._bus.name} {user_id}", here, later=True)
            elif all_of_it and not user.is_ours and user.presence.state != "offline":
                self.tell_theirs(user_id, user.heard, user.rooms or (), later=True)

    def tell_theirs(self, user_id: str, heard: Heard, rooms: Iterable[str], *, later: bool = False) -> None:
        """Have every worker hear what a user of another server is, and where."""
        first, *others = _parts(rooms)
        self._bus.tell(TOPIC, f"is {user_id}", Theirs(user_id, heard, first), later=later)
        for part in others:
            moved = Moved(user_id, part, True)
            self._bus.tell(TOPIC, f"in {part[0]} {user_id}", moved, later=later)


def _parts(rooms: Iterable[str]) -> list[list[str]]:
    """The rooms in pieces that are short enough; one that is empty where there are none."""
    parts: list[list[str]] = [[]]
    size = 0
    for room_id in rooms:
        size += len(room_id)
        if size > ROOM_BYTES and parts[-1]:
            parts.append([])
            size = len(room_id)
        parts[-1].append(room_id)
    return parts
