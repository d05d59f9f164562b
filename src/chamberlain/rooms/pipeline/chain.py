"""Drafts in a row that will be committed together: the head as it will stand after them."""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.pipeline.head import Extremity, Head, Stored
from chamberlain.store.commit import EventWrite, Unit
from chamberlain.store.commit import Head as HeadWrite
from chamberlain.store.state.lines import Point
from chamberlain.store.state.write import epoch_is_due

PREV_EVENTS: Final = 10
"""How many events one of ours follows at most."""


class Chain:
    """A head, and the events that are to follow it. The head itself is not touched before `adopt`."""

    __slots__ = (
        "auth",
        "counts",
        "drafted",
        "expected",
        "extremities",
        "head",
        "overlay",
        "redactions",
        "summary",
        "summary_changed",
        "txns",
        "unplaced",
        "ver",
        "waiting",
        "writes",
    )

    def __init__(self, head: Head) -> None:
        self.head = head
        self.expected = head.head_seq
        self.ver = head.ver
        self.counts = (head.notify_count, head.highlight_count, head.thread_notify_count)
        self.extremities = head.extremities
        self.overlay: dict[StateKey, Stored] = {}
        self.summary: dict[str, Any] = dict(head.summary)
        self.summary_changed = head.is_new
        self.drafted: dict[str, Event] = {}
        self.writes: list[EventWrite] = []
        self.auth: list[tuple[int, int]] = []
        self.txns: list[dict[str, Any]] = []
        self.redactions: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self.unplaced: list[dict[str, Any]] = []

    def state(self, key: StateKey) -> Stored | None:
        """The state event under a key that has been loaded, as it will be after the chain so far."""
        found = self.overlay.get(key)
        return found if found is not None else self.head.state.get(key)

    @property
    def is_crowded(self) -> bool:
        """Whether the room has more extremities than an event of this server follows."""
        return len(self.extremities) > PREV_EVENTS

    @property
    def ends(self) -> Sequence[Extremity]:
        """What the next event of this server follows: all extremities, or of too many the first and the deepest.

        The first is the way that the room has gone before the others came: it knows of our users.
        """
        if not self.is_crowded:
            return self.extremities
        first, *others = self.extremities
        return [first, *sorted(others, key=lambda one: one.depth)[1 - PREV_EVENTS :]]

    def is_followed_by(self, event: Event) -> bool:
        """Whether the event is as the next one of this server would be: nothing has come between."""
        return {end.event_id for end in self.extremities} == set(event.prev_events)

    @property
    def reach(self) -> int:
        """The greatest depth that the room has reached."""
        return max((one.depth for one in self.extremities), default=0)

    def follow(self, stored: Stored) -> None:
        """Let the event be an end of the room, instead of those that it follows."""
        event = stored.event
        own = Extremity(stored.nid, event.event_id, event.depth, stored.height)
        self.extremities = with_end(self.extremities, own, set(event.prev_events))
        if event.state_key is not None:
            self.overlay[(event.type, event.state_key)] = stored
            self.ver += 1

    def unit(self, spare_line: int | None) -> Unit:
        """The chain as rows."""
        head = self.head
        notify, highlight, threads = self.counts
        return Unit(
            room_id=head.room_id,
            version=head.version.id,
            creator=head.creator,
            created_at=head.created_at,
            expected=self.expected,
            head=HeadWrite(
                extremities=msgspec.json.encode(self.extremities).decode(),
                line=head.line,
                ver=self.ver,
                head_seq=head.head_seq + 1,
                notify_count=notify,
                highlight_count=highlight,
                thread_notify_count=threads,
            ),
            events=self.writes,
            auth=self.auth,
            txns=self.txns,
            redactions=self.redactions,
            summary=self.summary | {"room_id": head.room_id} if self.summary_changed else None,
            spare_line=spare_line,
            unplaced=self.unplaced,
            waiting=self.waiting,
        )

    @property
    def renewal_is_due(self) -> bool:
        """Whether the commit may need a spare line to renew the room's current one."""
        return epoch_is_due(self.head.ver, self.ver)

    def adopt(self, point: Point) -> None:
        """Move the head to where the committed chain left the room."""
        head = self.head
        head.head_seq += 1
        head.line, head.ver = point
        head.extremities = self.extremities
        head.notify_count, head.highlight_count, head.thread_notify_count = self.counts
        head.state.update(self.overlay)
        head.summary = self.summary


def with_end(ends: Sequence[Extremity], own: Extremity, followed: Collection[str]) -> Sequence[Extremity]:
    """The ends of a room with a new one in the place of those that it follows.

    So the first one is the way that the room had gone before the others came. No end is less deep than what it follows,
    whatever it says itself: the room's reach never shrinks.
    """
    depths = [one.depth for one in ends if one.event_id in followed]
    own = msgspec.structs.replace(own, depth=max(own.depth, *depths, 0))
    rest = [one for one in ends if one.event_id not in followed]
    place = next((n for n, one in enumerate(ends) if one.event_id in followed), len(rest))
    return [*rest[:place], own, *rest[place:]]
