"""What is asked of the assemblers, and what they give for each room."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.filters import Filter, RoomEventFilter
from chamberlain.rooms.serialize import Viewer
from chamberlain.store.account_data import AccountData
from chamberlain.store.events import StoredEvent
from chamberlain.store.receipts import Receipt
from chamberlain.store.sync import Facts
from chamberlain.store.unread import Unread

NAMING: Final = frozenset({MEMBER, "m.room.name", "m.room.canonical_alias"})
"""The types of state that clients make a room's name of."""
DEFAULT_LIMIT: Final = 10
MAX_LIMIT: Final = 100


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Whose answer is to be made, and of which stretch: since < position <= upto (None: all, up to now)."""

    viewer: Viewer
    device_id: str | None
    filter: Filter
    since: int | None
    upto: int | None
    now: int
    epoch: str
    """That of the database, for tokens."""
    full_state: bool = False
    state_after: bool = False
    ignored: frozenset[str] = frozenset()
    known: Mapping[str, Mapping[str, int]] = {}
    """Members that the device was sent lazily: by room and user, the position of the answer."""

    @property
    def user_id(self) -> str:
        """The viewer."""
        return self.viewer.user_id

    @property
    def is_lazy(self) -> bool:
        """Whether members are sent only as they are needed."""
        return self.filter.room.state.lazy_load_members

    @property
    def limit(self) -> int:
        """How many events a timeline has at most."""
        return self.filter.room.timeline.limit_within(DEFAULT_LIMIT, MAX_LIMIT)

    def wants_room(self, room_id: str) -> bool:
        """Whether the filter lets the room through."""
        return self.filter.room.wants_room(room_id)

    def wants_in_timeline(self, event: StoredEvent) -> bool:
        """Whether an event of a room that is wanted belongs into its timeline."""
        if not _wants(self.filter.room.timeline, event):
            return False
        return event.state_key is not None or event.sender not in self.ignored

    def wants_in_state(self, event: StoredEvent) -> bool:
        """Whether a state event of a room that is wanted belongs into its state."""
        return _wants(self.filter.room.state, event)

    def knows(self, room_id: str, user_id: str) -> bool:
        """Whether the device has this member already, so that sending them again is redundant."""
        if self.since is None or self.filter.room.state.include_redundant_members:
            return False
        sent = self.known.get(room_id)
        return sent is not None and sent.get(user_id, self.since + 1) <= self.since


def _wants(filter: RoomEventFilter, event: StoredEvent) -> bool:
    return filter.wants_event(event.type, event.sender, event.contains_url) and filter.wants_room(
        event.room_id
    )


class Block(msgspec.Struct):
    """One room that the user is joined to, or has left, in an answer."""

    timeline: Sequence[bytes] = ()
    limited: bool = False
    prev_batch: str | None = None
    state: Sequence[bytes] = ()
    facts: Facts | None = None
    receipts: Sequence[Receipt] = ()
    typing: Sequence[str] | None = None
    account_data: Sequence[AccountData] = ()
    unread: Unread | None = None
    members: Sequence[str] = ()
    """Whose member events are in it."""
    is_fresh: bool = False
    """The device knows nothing of the room yet: the block must be there, were it empty."""
    shows_counts: bool = False
    """The counts may differ from those of the last answer."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (
            self.is_fresh
            or self.timeline
            or self.state
            or self.limited
            or self.receipts
            or self.typing is not None
            or self.account_data
            or self.shows_counts
        )


class Loaded(msgspec.Struct):
    """The rooms of an answer, and the user's account data; `position` is that of the next token."""

    position: int
    joined: dict[str, Block] = msgspec.field(default_factory=dict)
    left: dict[str, Block] = msgspec.field(default_factory=dict)
    invited: dict[str, list[bytes]] = msgspec.field(default_factory=dict)
    knocked: dict[str, list[bytes]] = msgspec.field(default_factory=dict)
    account_data: Sequence[AccountData] = ()
