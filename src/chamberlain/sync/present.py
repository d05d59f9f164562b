"""What there is to say of somebody's presence: values, and the news of them among workers."""

from typing import Any, Final, Literal

import msgspec

State = Literal["online", "unavailable", "offline"]

MAX_STATUS: Final = 1_024
"""Characters."""


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


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """What a user is said to be; `last_active` in ms."""

    state: State
    status: str | None
    last_active: int | None
    currently_active: bool = False

    def looks_different(self, shown: Presence) -> bool:
        """Whether others have to be told, who know the other."""
        return (self.state, self.status, self.currently_active) != (
            shown.state,
            shown.status,
            shown.currently_active,
        )


class _News(msgspec.Struct, frozen=True, array_like=True):
    user_id: str


class Ours(_News, frozen=True, tag="ours"):
    """What a user of this server is. `idle`: unavailable for doing nothing."""

    heard: Heard
    idle: bool = False


class Here(_News, frozen=True, tag="here"):
    """A user of this server has clients that sync at a worker, or has not any more.

    `known`: what they are, for those who do not know of them.
    """

    worker: str
    here: bool
    known: Ours | None = None


class Theirs(_News, frozen=True, tag="theirs"):
    """What a user of another server is. `rooms`: where they share with users of this one; None: as before."""

    heard: Heard
    rooms: list[str] | None = None


class Moved(_News, frozen=True, tag="moved"):
    """A user has come into rooms, or has left them."""

    rooms: list[str]
    joined: bool


News = Ours | Here | Theirs | Moved
