"""Who is online: in memory alone, told to those who share a room (client-server API, Presence)."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import msgspec

from chamberlain.matrix.errors import InvalidParam
from chamberlain.rooms.typing import EphemeralCounter
from chamberlain.runtime.clock import Clock, Timer
from chamberlain.sync.wait import Waiting

State = Literal["online", "unavailable", "offline"]

IDLE_SECONDS: Final = 300.0
"""Who does nothing for so long, while a client syncs, is unavailable."""
GONE_SECONDS: Final = 30.0
"""Who has no client that syncs for so long is offline."""
UNHEARD_SECONDS: Final = 1_800.0
"""A user of another server of whom one has not heard for so long is offline."""
MAX_STATUS: Final = 2_048
USERS_KEPT: Final = 20_000
"""From so many users on those who are offline are forgotten."""


class Presence(msgspec.Struct, frozen=True):
    """The presence of one user, as others see it; `last_active` in ms, None: never, as far as is known."""

    state: State
    status: str | None
    last_active: int | None
    position: int
    currently_active: bool = True
    """While online; False is only said by other servers."""

    def content(self, now: int) -> dict[str, Any]:
        """The content of an m.presence event, and the answer to who asks."""
        body: dict[str, Any] = {"presence": self.state}
        if self.last_active is not None:
            body["last_active_ago"] = max(now - self.last_active, 0)
        if self.state == "online":
            body["currently_active"] = self.currently_active
        if self.status is not None:
            body["status_msg"] = self.status
        return body


UNKNOWN: Final = Presence("offline", None, None, 0)
"""The presence of those of whom nothing was heard."""


class Heard(msgspec.Struct, frozen=True):
    """What another server says of one of its users; `last_active` in ms."""

    state: State
    status: str | None
    last_active: int
    currently_active: bool = False


class _User:
    """What is known of one user. `syncing`: how many of their clients wait right now."""

    __slots__ = ("ended", "idle", "presence", "rooms", "syncing", "timer")

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.rooms: set[str] | None = None
        """The rooms of a user of another server; None for ours, whose rooms `Waiting` knows."""
        self.syncing = 0
        self.idle = False
        """Unavailable for doing nothing: only doing something ends that, not syncing on."""
        self.ended = 0.0
        """When the last sync had its answer, or their server said something, by the monotonic clock."""
        self.timer: Timer | None = None


class Presences:
    """The presence of local users, and of those of other servers with whom they share a room."""

    def __init__(self, clock: Clock, waiting: Waiting, order: EphemeralCounter, *, enabled: bool) -> None:
        self._clock = clock
        self._waiting = waiting
        self._order = order
        self._users: dict[str, _User] = {}
        self._subscribers: list[Callable[[str], None]] = []
        self.enabled = enabled

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Have it called with the user id whenever somebody's presence changes."""
        self._subscribers.append(subscriber)

    def users_there(self) -> list[str]:
        """Everyone of ours who is not offline."""
        return [
            user_id
            for user_id, user in self._users.items()
            if user.rooms is None and user.presence.state != "offline"
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
        if known is not None and known.rooms is not None:
            return not (await self._waiting.listen(viewer)).joined.keys().isdisjoint(known.rooms)
        one, other = await self._waiting.listen(viewer), await self._waiting.listen(user_id)
        return not one.joined.keys().isdisjoint(other.joined.keys())

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
        user = self._user(user_id)
        user.ended = self._clock.monotonic()
        self._show(user_id, user, state, status or None, active=True)
        self._watch(user_id, user)

    async def begin_sync(self, user_id: str, state: State) -> None:
        """A client of the user syncs, and says what that makes of them; `offline` says nothing."""
        if not self.enabled or state == "offline":
            return
        user = self._users.get(user_id)
        if user is None:
            await self._waiting.listen(user_id)
            user = self._user(user_id)
        user.syncing += 1
        shown = user.presence
        if state == "unavailable":
            if shown.state != "unavailable":
                self._show(user_id, user, "unavailable", shown.status, active=False)
        elif shown.state != "online" and not user.idle:
            self._show(user_id, user, "online", shown.status, active=True)
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

    def hear(self, user_id: str, heard: Heard, rooms: Iterable[str]) -> None:
        """The server of a user says what they are; `rooms`: where they share with users of this server."""
        user = self._user(user_id)
        before = user.presence
        user.rooms = {*rooms}
        user.ended = self._clock.monotonic()
        now = user.presence = Presence(
            heard.state, heard.status, heard.last_active, before.position, heard.currently_active
        )
        if msgspec.structs.replace(before, last_active=now.last_active) != now:
            self._tell(user_id, user)
        self._watch(user_id, user)

    def moved(self, user_id: str, room_id: str, *, joined: bool) -> None:
        """A user has come into a room, or has left it."""
        user = self._users.get(user_id)
        if user is None or user.rooms is None:
            return
        if not joined:
            user.rooms.discard(room_id)
        elif room_id not in user.rooms:
            user.rooms.add(room_id)
            self._tell(user_id, user)

    def met(self, newcomer: str, room_id: str) -> None:
        """A user of this server has come into a room, and hears of those of other servers who are there."""
        interest = self._waiting.find(newcomer)
        if interest is None or room_id not in interest.joined:
            return
        there = [user_id for user_id, user in self._users.items() if room_id in (user.rooms or ())]
        if there:
            position = self._order.advance()
            for user_id in there:
                interest.presence_moved(user_id, position)
            interest.wake()

    def of(self, user_ids: Iterable[str]) -> list[tuple[str, Presence]]:
        """The presences of these users, as far as there are any."""
        users = ((user_id, self._users.get(user_id)) for user_id in user_ids)
        return [(user_id, user.presence) for user_id, user in users if user is not None]

    def seen_by(self, user_id: str) -> list[tuple[str, Presence]]:
        """The presences of all who are not offline and share a room with a user who listens here."""
        viewer = self._waiting.find(user_id)
        if viewer is None:
            return []
        found = []
        for other_id, user in self._users.items():
            if user.presence.state == "offline":
                continue
            if user.rooms is not None:
                if not viewer.joined.keys().isdisjoint(user.rooms):
                    found.append((other_id, user.presence))
                continue
            other = self._waiting.find(other_id)
            if other is viewer or (
                other is not None and not viewer.joined.keys().isdisjoint(other.joined.keys())
            ):
                found.append((other_id, user.presence))
        return found

    def close(self) -> None:
        """Let no timer run on."""
        for user in self._users.values():
            if user.timer is not None:
                user.timer.cancel()
        self._users.clear()

    def _user(self, user_id: str) -> _User:
        user = self._users.get(user_id)
        if user is None:
            if len(self._users) >= USERS_KEPT:
                self._forget_offline()
            user = self._users[user_id] = _User(Presence("offline", None, self._clock.now(), 0))
        return user

    def _forget_offline(self) -> None:
        for user_id, user in list(self._users.items()):
            if user.presence.state == "offline" and not user.syncing:
                del self._users[user_id]

    def _show(self, user_id: str, user: _User, state: State, status: str | None, *, active: bool) -> None:
        user.idle = False
        last_active = self._clock.now() if active else user.presence.last_active
        user.presence = Presence(state, status, last_active, user.presence.position)
        self._tell(user_id, user)

    def _tell(self, user_id: str, user: _User) -> None:
        """Those who share a room are told of the user's presence."""
        # One counter orders all that is not durable: a token has one place for it.
        position = self._order.advance()
        user.presence = msgspec.structs.replace(user.presence, position=position)
        self._waiting.presence_moved(user_id, position, user.rooms)
        for subscriber in self._subscribers:
            subscriber(user_id)

    def _watch(self, user_id: str, user: _User) -> None:
        """Look at the user again when they may be idle or gone: seldom, whatever they do meanwhile."""
        if user.timer is not None:
            user.timer.cancel()
        user.timer = None
        left = self._seconds_left(user)
        if left is not None:
            longest = GONE_SECONDS if user.rooms is None else UNHEARD_SECONDS
            user.timer = self._clock.call_later(min(max(left, 0.05), longest), self._look, user_id)

    def _seconds_left(self, user: _User) -> float | None:
        """After how long nothing changes the user's presence but that; None: never."""
        if not user.syncing:
            gone_at = user.ended + (GONE_SECONDS if user.rooms is None else UNHEARD_SECONDS)
            return None if user.presence.state == "offline" else gone_at - self._clock.monotonic()
        if user.presence.state != "online":
            return None
        return IDLE_SECONDS - (self._clock.now() - (user.presence.last_active or 0)) / 1000

    def _look(self, user_id: str) -> None:
        user = self._users.get(user_id)
        if user is None:
            return
        user.timer = None
        left = self._seconds_left(user)
        if left is not None and left <= 0:
            state: State = "unavailable" if user.syncing else "offline"
            self._show(user_id, user, state, user.presence.status, active=False)
            user.idle = state == "unavailable"
        self._watch(user_id, user)

    def active(self, user_id: str) -> None:
        """The user did something: they are there."""
        user = self._users.get(user_id)
        if user is None or not self.enabled:
            return
        shown = user.presence
        if user.idle:
            self._show(user_id, user, "online", shown.status, active=True)
        else:
            user.presence = msgspec.structs.replace(shown, last_active=self._clock.now())
