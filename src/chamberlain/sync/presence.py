"""Who is online: in memory alone, told to those who share a room (client-server API, Presence).

Every worker knows it of all users (see `runtime/bus.py`): what one finds out it tells, and what it hears, of itself
too, is what is so. Who syncs where is known as well: one is offline when no worker has them any more.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from chamberlain.matrix.errors import InvalidParam
from chamberlain.runtime.bus import Bus
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.tasks import Tasks
from chamberlain.store.database import Database
from chamberlain.sync.presence_table import TOPIC, PresenceTable, User
from chamberlain.sync.present import MAX_STATUS, Heard, Here, Moved, Ours, Presence, State, Theirs
from chamberlain.sync.wait import Waiting

IDLE_SECONDS: Final = 300.0
"""Who does nothing for so long, while a client syncs, is unavailable."""
ACTIVE_SECONDS: Final = 60.0
"""Other workers are told so often that somebody does something."""
GONE_SECONDS: Final = 30.0
"""Who has no client that syncs for so long is offline."""
UNHEARD_SECONDS: Final = 1_800.0
"""A user of another server of whom one has not heard for so long is offline."""
UNCHANGED_SECONDS: Final = 600.0
"""Other workers are told so often that a user of another server is as before."""
REPEAT_SECONDS: Final = 300.0
"""Other workers are told so often who is here: of what one of them missed is so made good."""


class Presences:
    """The presence of local users, and of those of other servers with whom they share a room."""

    def __init__(self, db: Database, clock: Clock, waiting: Waiting, bus: Bus, *, enabled: bool) -> None:
        self._clock = clock
        self._waiting = waiting
        self._bus = bus
        self._tasks = Tasks()
        self._table = PresenceTable(db, clock, waiting, bus, self._watch)
        self._users = self._table.users
        # What was done at another worker is known late.
        self._idle_seconds = IDLE_SECONDS + (ACTIVE_SECONDS if bus.is_shared else 0)
        self.enabled = enabled
        if enabled:
            bus.subscribe(TOPIC, self._table)

    def start(self) -> None:
        """Begin the background work."""
        if self.enabled and self._bus.is_shared:
            self._tasks.spawn("tell other workers who is here", self._repeat_forever())

    async def _repeat_forever(self) -> None:
        while True:
            await self._clock.sleep(REPEAT_SECONDS)
            self._table.repeat(all_of_it=False)
            self._table.forget_unheard()

    async def close(self) -> None:
        """Let no timer run on."""
        await self._tasks.close()
        await self._table.close()

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Have it called with the user id whenever somebody's presence changes."""
        self._table.subscribe(subscriber)

    # -------------------------------------------------------------------------------------------- asking

    def users_there(self) -> list[str]:
        """Everyone of ours who is not offline."""
        return [
            user_id
            for user_id, user in self._users.items()
            if user.is_ours and user.presence.state != "offline"
        ]

    def find(self, user_id: str) -> Presence | None:
        """The presence of a user, or None where nothing is known."""
        user = self._users.get(user_id)
        return None if user is None else user.presence

    async def shares_room(self, viewer: str, user_id: str) -> bool:
        """Whether the viewer may see the user's presence."""
        if viewer == user_id:
            return True
        known = self._users.get(user_id)
        if known is not None and not known.is_ours:
            return not (await self._waiting.listen(viewer)).joined.keys().isdisjoint(known.rooms or ())
        one, other = await self._waiting.listen(viewer), await self._waiting.listen(user_id)
        return not one.joined.keys().isdisjoint(other.joined.keys())

    def of(self, user_ids: Iterable[str]) -> list[tuple[str, Presence]]:
        """The presences of these users, as far as there are any."""
        users = ((user_id, self._users.get(user_id)) for user_id in user_ids)
        return [(user_id, user.presence) for user_id, user in users if user is not None]

    def seen_by(self, user_id: str, *, after: int | None = None) -> list[tuple[str, Presence]]:
        """The presences of those who share a room with a user who listens here.

        These are all who are not offline, or all whose presence changed `after` a place.
        """
        viewer = self._waiting.find(user_id)
        if viewer is None:
            return []
        joined, rooms_of = viewer.joined.keys(), self._table.rooms_of
        return [
            (other_id, user.presence)
            for other_id, user in self._users.items()
            if (user.presence.state != "offline" if after is None else user.presence.position > after)
            and (other_id == user_id or not joined.isdisjoint(rooms_of(other_id, user)))
        ]

    # ------------------------------------------------------------------------------------------- telling

    async def set(self, user_id: str, state: State, status: str | None) -> None:
        """The user says what they are.

        Raises:
            InvalidParam: the status is too long.
        """
        if status is not None and len(status) > MAX_STATUS:
            raise InvalidParam(f"A status has at most {MAX_STATUS} characters")
        if not self.enabled:
            return
        await self._waiting.listen(user_id)
        user = self._table.user(user_id, is_ours=True)
        user.ended = self._clock.monotonic()
        self._be_here(user_id, user, here=True)
        self._say(user_id, user, state, status or None, active=True)
        self._watch(user_id, user)

    async def begin_sync(self, user_id: str, state: State) -> None:
        """A client of the user syncs, and says what that makes of them; `offline` says nothing."""
        if not self.enabled or state == "offline":
            return
        user = self._users.get(user_id)
        if user is None or self._waiting.find(user_id) is None:
            await self._waiting.listen(user_id)
            user = self._table.user(user_id, is_ours=True)
        user.syncing += 1
        if not user.is_here:
            self._be_here(user_id, user, here=True)
        shown = user.presence
        if state == "unavailable":
            if shown.state != "unavailable":
                self._say(user_id, user, "unavailable", shown.status)
        elif shown.state != "online" and not user.idle:
            self._say(user_id, user, "online", shown.status, active=True)
        if user.timer is None:
            self._watch(user_id, user)

    def end_sync(self, user_id: str, state: State) -> None:
        """The sync that `begin_sync` told of has its answer."""
        user = self._users.get(user_id)
        if user is not None and self.enabled and state != "offline":
            user.syncing = max(user.syncing - 1, 0)
            user.ended = self._clock.monotonic()
            if user.timer is None:
                self._watch(user_id, user)

    def active(self, user_id: str) -> None:
        """The user did something: they are there."""
        user = self._users.get(user_id)
        if user is None or not self.enabled:
            return
        shown, now = user.presence, self._clock.now()
        is_news = self._bus.is_shared and user.is_ours and now - user.told >= ACTIVE_SECONDS * 1000
        if user.idle or (is_news and shown.state == "online"):
            self._say(user_id, user, "online", shown.status, active=True)
        else:
            user.presence = msgspec.structs.replace(shown, last_active=now)

    def hear(self, user_id: str, heard: Heard, rooms: Iterable[str]) -> None:
        """The server of a user says what they are; `rooms`: where they share with users of this server."""
        rooms = {*rooms}
        user = self._users.get(user_id)
        if (
            self._bus.is_shared
            and user is not None
            and user.rooms == rooms
            and self._clock.now() - user.told < UNCHANGED_SECONDS * 1000
            and not heard.looks_different(user.presence)
        ):
            # What is as it was need not be told each time.
            user.ended = self._clock.monotonic()
            user.presence = msgspec.structs.replace(user.presence, last_active=heard.last_active)
            return
        self._table.tell_theirs(user_id, heard, rooms)

    def theirs_moved(self, user_id: str, room_id: str, *, joined: bool) -> None:
        """A user, if they are of another server, is in a room or not; this worker knows it first."""
        user = self._users.get(user_id)
        if user is not None and not user.is_ours and (room_id in (user.rooms or ())) != joined:
            self._bus.tell(TOPIC, f"in {room_id} {user_id}", Moved(user_id, [room_id], joined))

    def ours_moved(self, user_id: str, room_id: str, *, joined: bool | None) -> None:
        """A user of this server has come into a room, or has left it; None: another worker knows which, and tells."""
        if joined is None:
            self._table.unsure(user_id)
        elif user_id in self._users or self._waiting.find(user_id) is not None:
            self._bus.tell(TOPIC, f"in {room_id} {user_id}", Moved(user_id, [room_id], joined))

    def _be_here(self, user_id: str, user: User, *, here: bool) -> None:
        user.is_here = here
        worker = self._bus.name
        self._bus.tell(TOPIC, f"at {worker} {user_id}", Here(user_id, worker, here))

    def _say(
        self,
        user_id: str,
        user: User,
        state: State,
        status: str | None,
        *,
        active: bool = False,
        idle: bool = False,
    ) -> None:
        """Have every worker hear what a user of this server is from now on."""
        if active:
            user.told = self._clock.now()
        last_active = user.told if active else user.presence.last_active
        heard = Heard(state, status, last_active, currently_active=True)
        self._bus.tell(TOPIC, f"is {user_id}", Ours(user_id, heard, idle))

    # -------------------------------------------------------------------------------------------- timers

    def _watch(self, user_id: str, user: User) -> None:
        """Look at the user again when they may be idle or gone: seldom, whatever they do meanwhile."""
        if user.timer is not None:
            user.timer.cancel()
        user.timer = None
        left = self._seconds_left(user)
        if left is not None:
            longest = GONE_SECONDS if user.is_ours else UNHEARD_SECONDS
            user.timer = self._clock.call_later(min(max(left, 0.05), longest), self._look, user_id)

    def _seconds_left(self, user: User) -> float | None:
        """After how long nothing changes the user's presence but that; None: never."""
        if not user.is_ours:
            gone_at = user.ended + UNHEARD_SECONDS
            return None if user.presence.state == "offline" else gone_at - self._clock.monotonic()
        if not user.syncing:
            return user.ended + GONE_SECONDS - self._clock.monotonic() if user.is_here else None
        if user.presence.state != "online":
            return None
        return self._idle_seconds - (self._clock.now() - (user.presence.last_active or 0)) / 1000

    def _look(self, user_id: str) -> None:
        user = self._users.get(user_id)
        if user is None:
            return
        user.timer = None
        left = self._seconds_left(user)
        if left is not None and left <= 0:
            if not user.is_ours:
                gone = msgspec.structs.replace(user.heard, state="offline")
                self._bus.tell(TOPIC, f"is {user_id}", Theirs(user_id, gone))
            elif user.syncing:
                self._say(user_id, user, "unavailable", user.presence.status, idle=True)
            else:
                self._be_here(user_id, user, here=False)
        self._watch(user_id, user)
