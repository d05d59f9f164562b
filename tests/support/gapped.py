"""A room that a hand-made server keeps whole and another one knows with gaps, and clients who read it there."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import orjson

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.types import JsonObject
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path
from tests.support.tables import select

MESSAGE = "m.room.message"
THING = "org.example.thing"


class Gapped:
    """The room. Its events reach the server when a test delivers them; what leads to them may be kept from it."""

    def __init__(self, near: Server, peer: Peer, room: PeerRoom) -> None:
        self.near = near
        self.peer = peer
        self.room = room
        self.made: list[Event] = []
        """What was sent at the peer, in order; some of it was not delivered."""
        self.root: str | None = None
        """To which all messages of the peer relate."""
        self.tells = 0
        """How many events the peer gives to one who misses some."""
        self.gives = 100
        """How many events of the past it gives at once; with none it refuses."""
        peer.lies["get_missing_events"] = self._missing
        peer.lies["backfill"] = self._backfill

    def _missing(self, asked: Asked, honest: Any) -> Any:
        return {"events": honest["events"][max(len(honest["events"]) - self.tells, 0) :]}

    def _backfill(self, asked: Asked, honest: Any) -> Any:
        return honest | {"pdus": honest["pdus"][: self.gives]}

    def make(self, prev: Sequence[str] | None = None, *, is_state: bool = False) -> Event:
        """Send an event at the peer."""
        number = len(self.room.events)
        content: JsonObject = {"body": f"{number}", "msgtype": "m.text"}
        if self.root is not None:
            content["m.relates_to"] = {"rel_type": "m.reference", "event_id": self.root}
        if is_state:
            event = self.room.send(THING, self.peer.user(), content, f"{number % 2}", prev=prev)
        else:
            event = self.room.send(MESSAGE, self.peer.user(), content, prev=prev)
        self.made.append(event)
        return event

    async def deliver(self, *events: Event) -> None:
        """Have events arrive."""
        await self.near.app.services.rooms.accept.accept(self.peer.name, self.room.room_id, events)

    async def say(self, client: Client) -> None:
        """A local user says something, of which the peer hears at once."""
        event_id = await client.say(self.room.room_id, "here")
        ((pdu,),) = await select(
            self.near, "SELECT pdu FROM events WHERE event_id = :event_id", event_id=event_id
        )
        self.made.append(self.room.put(Event.parse(pdu, self.room.version)))

    async def positions(self) -> dict[str, int]:
        """The positions of all events that are part of the timeline."""
        rows = await select(
            self.near,
            "SELECT event_id, position FROM events WHERE room_id = :room_id AND position IS NOT NULL"
            " AND rejected IS NULL AND NOT soft_failed",
            room_id=self.room.room_id,
        )
        return {row[0]: row[1] for row in rows}

    def history_of(self, event_ids: Iterable[str]) -> set[str]:
        """These events and all that was before them."""
        found: set[str] = set()
        waiting = list(event_ids)
        while waiting:
            event_id = waiting.pop()
            if event_id not in found:
                found.add(event_id)
                waiting.extend(self.room.events[EventID(event_id)].prev_events)
        return found


async def pages(
    client: Client, room_id: str, start: str | None, direction: str, *, wanted: Any, limit: int
) -> AsyncIterator[tuple[list[str], str | None]]:
    """Page from a token on to the end: the ids of the events and the next token, page by page."""
    filter = {} if not wanted else {"filter": orjson.dumps(wanted).decode()}
    while True:
        query = {"dir": direction, "limit": limit, **filter, **({} if start is None else {"from": start})}
        page = (await client.get(path("rooms", room_id, "messages", **query))).ok()
        end = page.get("end")
        assert end is None or end != start, "it leads nowhere"
        yield [event["event_id"] for event in page["chunk"]], end
        if end is None:
            return
        start = end


async def walk(
    client: Client, room_id: str, start: str | None, direction: str, *, wanted: Any = None, limit: int = 10
) -> list[str]:
    """The ids of all events from a token on, in the order in which they are given."""
    return [
        one
        async for page, _ in pages(client, room_id, start, direction, wanted=wanted, limit=limit)
        for one in page
    ]


async def children(client: Client, room_id: str, root: str | None, token: str | None = None) -> list[str]:
    """The ids of all events that relate to one; those before a token, and then those after it."""
    found: list[str] = []
    for direction in "b" if token is None else "bf":
        start = token
        while True:
            query = {"dir": direction, "limit": 3, **({} if start is None else {"from": start})}
            target = path("rooms", room_id, "relations", root or "", **query)
            page = (await client.get(f"/_matrix/client/v1/{target}")).ok()
            found += [event["event_id"] for event in page["chunk"]]
            start = page.get("next_batch")
            if start is None:
                break
    return found


class Reader:
    """A client that keeps up with one room, and remembers from where to page back."""

    def __init__(self, client: Client, room: Gapped, *, limit: int, wanted: Any) -> None:
        self.client = client
        self.room = room
        self.limit = limit
        self.wanted = wanted
        timeline = {"limit": limit, **wanted}
        self._filter = orjson.dumps({"room": {"rooms": [room.room.room_id], "timeline": timeline}}).decode()
        self.since: str | None = None
        self.prev_batch: str | None = None
        self.timeline: list[str] = []
        """What came since the last hole, of which `prev_batch` is the token."""
        self.seen: list[str] = []
        """All that ever came."""

    async def sync(self) -> None:
        """Take in what has come, and look whether it may be shown as it came."""
        query = {
            "filter": self._filter,
            "timeout": 0,
            **({} if self.since is None else {"since": self.since}),
        }
        is_first = self.since is None
        answer = (await self.client.get(path("sync", **query))).ok()
        self.since = answer["next_batch"]
        part = answer.get("rooms", {}).get("join", {}).get(self.room.room.room_id)
        if part is None:
            return
        new = [event["event_id"] for event in part["timeline"]["events"]]
        positions = await self.room.positions()
        assert all(positions[event_id] > 0 for event_id in new), "what was fetched from the past is no news"
        assert not set(new) & set(self.seen), "what came once does not come again"
        begins_anew = is_first or part["timeline"]["limited"]
        if begins_anew:
            self.timeline, self.prev_batch = [], part["timeline"]["prev_batch"]
        for event_id in new[1:] if begins_anew else new:
            prev_events = self.room.room.events[EventID(event_id)].prev_events
            assert all(0 < positions.get(prev, -1) < positions[event_id] for prev in prev_events), (
                "a silent hole"
            )
        self.timeline += new
        self.seen += new
