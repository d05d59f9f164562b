"""A room's events as the graph that they are: what other servers ask for (server-server API, Backfilling)."""

import heapq
from collections.abc import Collection, Iterable
from typing import Final, LiteralString

import msgspec

from chamberlain.matrix.types import JsonObject
from chamberlain.store.tx import Read, Row

PASSED_OVER: Final = 1_000
"""How many events a walk passes that it does not give."""
_COLUMNS: LiteralString = (
    "SELECT nid, event_id, room_id, depth, type, state_key, sender, before_line, before_ver, rejected IS NOT NULL,"
    " pdu FROM events"
)


class _Form(msgspec.Struct):
    content: JsonObject


class _References(msgspec.Struct):
    prev_events: list[str | list[object]]
    auth_events: list[str | list[object]]


_decode_form = msgspec.json.Decoder(_Form).decode
_decode_references = msgspec.json.Decoder(_References).decode


class GraphEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it goes to other servers, and the point of the state before it, where that is known."""

    nid: int
    event_id: str
    room_id: str
    depth: int
    type: str
    state_key: str | None
    sender: str
    before_line: int | None
    before_ver: int | None
    rejected: bool
    """0 or 1 from SQLite."""
    pdu: bytes
    """The canonical bytes that were signed, or what a redaction left of them."""

    @property
    def content(self) -> JsonObject:
        """The content, decoded anew each time."""
        return _decode_form(self.pdu).content

    @property
    def prev_events(self) -> list[str]:
        """The events just before it, decoded anew each time."""
        return _ids(_decode_references(self.pdu).prev_events)

    @property
    def auth_events(self) -> list[str]:
        """The events that say that it may be, decoded anew each time."""
        return _ids(_decode_references(self.pdu).auth_events)


def _ids(references: Iterable[str | list[object]]) -> list[str]:
    """The ids among references; those of room versions 1 and 2 come with hashes."""
    return [one if isinstance(one, str) else str(one[0]) for one in references]


def _event(row: Row) -> GraphEvent:
    return GraphEvent(*row)


async def find(tx: Read, event_id: str) -> GraphEvent | None:
    """Give an event, a rejected one too, or None."""
    row = await tx.one(_COLUMNS + " WHERE event_id = :event_id", event_id=event_id)
    return None if row is None else _event(row)


async def list_pdus(tx: Read, nids: Collection[int]) -> list[bytes]:
    """Give the bytes of these events, in the order of their numbers."""
    rows = await tx.all("SELECT pdu FROM events WHERE nid = ANY(:nids) ORDER BY nid", nids=list(nids))
    return [row[0] for row in rows]


async def list_ids(tx: Read, nids: Collection[int]) -> list[str]:
    """Give the ids of these events."""
    rows = await tx.all("SELECT event_id FROM events WHERE nid = ANY(:nids)", nids=list(nids))
    return [row[0] for row in rows]


async def list_nids(tx: Read, event_ids: Collection[str]) -> list[int]:
    """Give the numbers of those of the events that are known."""
    rows = await tx.all("SELECT nid FROM events WHERE event_id = ANY(:ids)", ids=list(event_ids))
    return [row[0] for row in rows]


async def auth_chain_of(tx: Read, nids: Collection[int]) -> set[int]:
    """Give the auth events of these state events, and all that those go back to."""
    rows = await tx.all(
        "WITH RECURSIVE chain(nid) AS (SELECT auth FROM event_auth WHERE event = ANY(:nids)"
        " UNION SELECT a.auth FROM chain c JOIN event_auth a ON a.event = c.nid) SELECT nid FROM chain",
        nids=list(nids),
    )
    return {row[0] for row in rows}


async def depth_of_arrival(tx: Read, room_id: str) -> int:
    """Give the least depth among the events that arrived here as they happened: what lies before them is history."""
    depth = await tx.value(
        "SELECT depth FROM events WHERE room_id = :room_id AND position > 0 ORDER BY depth LIMIT 1",
        room_id=room_id,
    )
    return 0 if depth is None else int(depth)


async def walk_back(
    tx: Read,
    room_id: str,
    start: Collection[str],
    *,
    limit: int,
    but: Collection[str] = (),
    min_depth: int = 0,
    with_start: bool = True,
) -> list[GraphEvent]:
    """Give at most `limit` events of the room from `start` back along `prev_events`, the highest first.

    The walk ends at the events in `but`, at those below `min_depth`, and where the history that is here begins.
    Rejected events are passed, not given; so are those of `start`, unless it is to be `with_start`. Those that failed
    softly are given: others have built on them, and judge for themselves.
    """
    walk = _Walk(tx, room_id, set(but))
    await walk.reach(start)
    await walk.read_ahead(limit)
    found: list[GraphEvent] = []
    passed = 0
    while walk.heap and len(found) < limit and passed < PASSED_OVER:
        event = walk.pop()
        if event.depth < min_depth:
            break
        if event.rejected or (not with_start and event.event_id in start):
            passed += 1
        else:
            found.append(event)
        await walk.reach(event.prev_events)
    return found


class _Walk:
    """A walk through the events of a room of which the state before them is known, the highest first."""

    def __init__(self, tx: Read, room_id: str, seen: set[str]) -> None:
        self._tx = tx
        self._room_id = room_id
        self._seen = seen
        self._ahead: dict[str, GraphEvent] = {}
        self.heap: list[tuple[int, int, GraphEvent]] = []

    def pop(self) -> GraphEvent:
        """Take the highest event that was reached."""
        return heapq.heappop(self.heap)[2]

    async def reach(self, event_ids: Iterable[str]) -> None:
        """Have these events before the walk, those that it has met left out."""
        new = {event_id for event_id in event_ids if event_id not in self._seen}
        self._seen |= new
        lacking = [event_id for event_id in new if event_id not in self._ahead]
        events = [self._ahead.pop(event_id) for event_id in new if event_id in self._ahead]
        if lacking:
            rows = await self._tx.all(
                _COLUMNS + " WHERE event_id = ANY(:ids) AND room_id = :room_id AND before_line IS NOT NULL",
                ids=lacking,
                room_id=self._room_id,
            )
            events += [_event(row) for row in rows]
        for event in events:
            heapq.heappush(self.heap, (-event.depth, -event.nid, event))

    async def read_ahead(self, count: int) -> None:
        """Have the events in memory that the walk most likely meets next."""
        if not self.heap:
            return
        rows = await self._tx.all(
            _COLUMNS + " WHERE room_id = :room_id AND depth < :depth AND position IS NOT NULL"
            " AND before_line IS NOT NULL ORDER BY depth DESC, position DESC LIMIT :count",
            room_id=self._room_id,
            depth=-self.heap[0][0],
            count=count,
        )
        self._ahead = {row[1]: _event(row) for row in rows}
