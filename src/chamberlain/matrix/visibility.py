"""Who may see which event: history visibility, erased senders (client-server API, Room History Visibility).

What counts is the room's state *at* an event: the history visibility and the viewer's membership there,
together a `Point`. Along a timeline both change seldom, so a batch of events is judged with a short list
of `Span`s, each of which says from which event on a point holds.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from enum import Enum, StrEnum
from math import inf
from typing import Any, Final, Protocol

import msgspec

from chamberlain.matrix.event_types import HISTORY_VISIBILITY, MEMBER
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import UserID

JOINED_NOW: Final = inf


class HistoryVisibility(StrEnum):
    """To whom events are visible that are sent while this is set."""

    WORLD_READABLE = "world_readable"
    SHARED = "shared"
    INVITED = "invited"
    JOINED = "joined"


_KNOWN: Final = {value.value: value for value in HistoryVisibility}


class Sight(Enum):
    """What a viewer gets to see of an event."""

    HIDDEN = "hidden"
    REDACTED = "redacted"
    FULL = "full"


class Point(msgspec.Struct, frozen=True):
    """History visibility and the viewer's membership (`leave` if there is none) in one state of the room."""

    visibility: HistoryVisibility = HistoryVisibility.SHARED
    membership: str = "leave"


class Judged(Protocol):
    """What has to be known of an event to judge who may see it."""

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def state_key(self) -> str | None:
        """Its state key; None for a message event."""
        ...

    @property
    def sender(self) -> str:
        """Its sender."""
        ...

    @property
    def content(self) -> Mapping[str, Any]:
        """Its content; asked only of state events that matter."""
        ...


class Span(msgspec.Struct, frozen=True):
    """`point` is the state before each event whose order is `start` or more, up to the next span."""

    start: float
    point: Point


class Viewer(msgspec.Struct, frozen=True):
    """Who looks; `last_join`: the order of their latest join, `JOINED_NOW` while they are in, None if never.

    `erased`: the users whose events are shown redacted to those who were not in the room when they were sent.
    """

    user_id: UserID
    last_join: float | None = None
    erased: Set[str] = frozenset()


def parse_history_visibility(content: Mapping[str, Any] | None) -> HistoryVisibility:
    """The setting in the content of an m.room.history_visibility event; `shared` if there is no known one."""
    value = content.get("history_visibility") if content else None
    return _KNOWN.get(value, HistoryVisibility.SHARED) if isinstance(value, str) else HistoryVisibility.SHARED


def can_see(point: Point, *, joined_later: bool) -> bool:
    """The specification's rule for one state of the room; `joined_later`: at any time after the event."""
    if point.visibility is HistoryVisibility.WORLD_READABLE or point.membership == "join":
        return True
    if point.visibility is HistoryVisibility.SHARED:
        return joined_later
    return point.visibility is HistoryVisibility.INVITED and point.membership == "invite"


def point_after(event: Judged, before: Point, user_id: str) -> Point:
    """The point after the event: a new one if it sets the history visibility or that user's membership."""
    if event.type == HISTORY_VISIBILITY and event.state_key == "":
        return Point(parse_history_visibility(event.content), before.membership)
    if event.type == MEMBER and event.state_key == user_id:
        membership = event.content.get("membership")
        return Point(before.visibility, membership if isinstance(membership, str) else "leave")
    return before


def sight_of(event: Judged, order: float, before: Point, viewer: Viewer) -> Sight:
    """What the viewer gets to see of one event; `order` is its place, numbered as `last_join` is.

    Events that change the history visibility or the viewer's own membership are visible if the state before
    or the state after them makes them so.
    """
    joined_later = viewer.last_join is not None and viewer.last_join > order
    if not can_see(before, joined_later=joined_later):
        after = point_after(event, before, viewer.user_id)
        if after is before or not can_see(after, joined_later=joined_later):
            return Sight.HIDDEN
    if event.sender in viewer.erased and before.membership != "join" and event.sender != viewer.user_id:
        return Sight.REDACTED
    return Sight.FULL


def filter_visible(
    timeline: Iterable[tuple[float, Event]], spans: Sequence[Span], viewer: Viewer
) -> list[tuple[Event, Sight]]:
    """The visible events of a timeline, in its order, each with whether it has to be shown redacted.

    `timeline` gives (order, event) in any order; `spans`, at least one, are sorted by `start`, the first one
    also holds for what comes before it. For events on forks of the room's history, whose state does not
    follow from their order, the caller looks up each point and asks `sight_of`.
    """
    starts = [span.start for span in spans]
    visible: list[tuple[Event, Sight]] = []
    for order, event in timeline:
        before = spans[max(bisect_right(starts, order) - 1, 0)].point
        sight = sight_of(event, order, before, viewer)
        if sight is not Sight.HIDDEN:
            visible.append((event, sight))
    return visible


def sees_everything(spans: Iterable[Span], viewer: Viewer) -> bool:
    """Whether no event of these spans has to be looked at: the viewer sees all of them, and in full."""
    joined = viewer.last_join == JOINED_NOW
    return all(
        can_see(span.point, joined_later=joined) and (not viewer.erased or span.point.membership == "join")
        for span in spans
    )


def server_can_see(visibility: HistoryVisibility, memberships: Collection[str]) -> bool:
    """Whether a server in the room may have an event; `memberships`: those of its users at the event."""
    if visibility is HistoryVisibility.INVITED:
        return any(membership in ("join", "invite") for membership in memberships)
    if visibility is HistoryVisibility.JOINED:
        return "join" in memberships
    return True
