"""The timelines of rooms: the newest events that the viewer may see and wants (client-server API, Syncing)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from chamberlain.rooms.stream_tokens import StreamToken
from chamberlain.rooms.visible import visible_events
from chamberlain.store.events import StoredEvent, list_arrived
from chamberlain.store.sync import timelines
from chamberlain.store.tx import Read
from chamberlain.sync.assemble.block import Ask

PAGE: Final = 100
LOOKED_THROUGH: Final = 1_000
"""Where a filter lets so few events through, no more than this many are looked at."""


class Timeline(msgspec.Struct):
    """The events of one room, oldest first; `limited`: there are older ones in the stretch that was asked for."""

    room_id: str
    after: int
    upto: int
    events: list[StoredEvent] = msgspec.field(default_factory=list)
    memberships: dict[str, str] = msgspec.field(default_factory=dict)
    """The viewer's membership at each event."""
    limited: bool = False
    oldest: StoredEvent | None = None
    """The oldest event that was looked at."""
    gap: int | None = None
    """The position of the newest event that was looked at before which something was missing when it came."""
    is_now: bool = False
    """Whether `upto` is the newest position that there is."""
    also_needed: frozenset[str] = frozenset()
    """Members that the device needs beside the senders."""

    def prev_batch(self, epoch: str) -> str:
        """The token from where the room's history goes on backward."""
        first = self.events[0] if self.events else None
        if first is not None and first.position is not None:
            return batch_before(epoch, first.position)
        if self.gap is not None:
            return batch_before(epoch, self.gap)
        if self.oldest is not None and self.oldest.position is not None:
            # Nothing of it is shown: history begins after it.
            return batch_before(epoch, self.oldest.position + 1)
        return batch_before(epoch, self.upto + 1)


def batch_before(epoch: str, position: int) -> str:
    """The token of all that had arrived before a position.

    A timeline goes by arrival, the history by depth: what stands before the timeline's first event in the one may
    stand after it in the other, so that the place of that event would not do.
    """
    return str(StreamToken(epoch, position - 1, is_before=True))


async def load_timelines(
    tx: Read, ask: Ask, room_ids: Sequence[str], after: int, upto: int
) -> dict[str, Timeline]:
    """Give the timelines of rooms for one and the same stretch."""
    found = {room_id: Timeline(room_id, after, upto) for room_id in room_ids}
    if not room_ids:
        return found
    pages = await timelines(tx, room_ids, after, upto, ask.limit)
    await _take(tx, ask, found, pages, ask.limit + 1)
    return found


async def load_timeline(tx: Read, ask: Ask, room_id: str, after: int, upto: int) -> Timeline:
    """Give the timeline of one room."""
    timeline = Timeline(room_id, after, upto)
    page = await list_arrived(tx, room_id, after, upto, ask.limit + 1)
    page.reverse()
    await _take(tx, ask, {room_id: timeline}, {room_id: page}, ask.limit + 1)
    return timeline


async def _take(
    tx: Read, ask: Ask, found: dict[str, Timeline], pages: dict[str, list[StoredEvent]], size: int
) -> None:
    """Put what may be seen of the pages into the timelines, and read on where that is not enough."""
    await _sift(tx, ask, found, pages)
    for room_id, timeline in found.items():
        full = len(pages[room_id]) == size
        looked = size
        while full and timeline.gap is None and len(timeline.events) < ask.limit and looked < LOOKED_THROUGH:
            assert timeline.oldest is not None and timeline.oldest.position is not None
            page = await list_arrived(tx, room_id, timeline.after, timeline.oldest.position - 1, PAGE)
            page.reverse()
            full = len(page) == PAGE
            looked += PAGE
            if page:
                await _sift(tx, ask, {room_id: timeline}, {room_id: page})
        _cut_at_gap(timeline)
        timeline.limited = full or timeline.gap is not None or len(timeline.events) > ask.limit
        if len(timeline.events) > ask.limit:
            newest = timeline.events[-1]
            timeline.events = timeline.events[len(timeline.events) - ask.limit :]
            if not timeline.events:
                timeline.oldest, timeline.gap = newest, None


def _cut_at_gap(timeline: Timeline) -> None:
    """Have a timeline begin anew after what was missing then, fetched since or not; `prev_batch` leads there."""
    gap = timeline.gap
    if gap is not None:
        timeline.events = [event for event in timeline.events if (event.position or 0) >= gap]


async def _sift(tx: Read, ask: Ask, found: dict[str, Timeline], pages: dict[str, list[StoredEvent]]) -> None:
    seen = await visible_events(
        tx, [event for page in pages.values() for event in page if ask.wants_in_timeline(event)], ask.user_id
    )
    fresh: dict[str, list[StoredEvent]] = {}
    for one in seen:
        event = one.event
        fresh.setdefault(event.room_id, []).append(event)
        found[event.room_id].memberships[event.event_id] = one.membership
    for room_id, page in pages.items():
        timeline = found[room_id]
        if page:
            timeline.oldest = page[0]
        gaps = [event.position for event in page if event.after_gap and event.position is not None]
        timeline.gap = max(gaps, default=timeline.gap)
        if room_id in fresh:
            timeline.events = fresh[room_id] + timeline.events
