"""Homeservers that run as processes, and their users, who keep what /sync told them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from tests.support.asgi import Answer
from tests.support.server import Client, Homeserver, path

PATIENCE = 90.0
"""How many seconds a user waits for what must come."""
POLL_MS = 5_000
FILTER = '{"room":{"timeline":{"limit":100}}}'

Found = TypeVar("Found")
Event = dict[str, Any]


class Program(Protocol):
    """What runs a homeserver: `name` is the server's, `url` where its clients go."""

    name: str
    url: str

    def start(self) -> None:
        """It serves when this returns."""

    def stop(self) -> None:
        """It is gone when this returns."""

    def kill(self) -> None:
        """It is gone when this returns, without having been asked."""

    def log(self) -> str:
        """All that it logged."""


class Room:
    """What one user was told of one room, oldest first."""

    def __init__(self) -> None:
        self.membership: str | None = None
        """The section of /sync that the room stood in last: `join`, `invite`, `knock` or `leave`."""
        self.timeline: list[Event] = []
        self.state: dict[tuple[str, str], Event] = {}
        self.stripped: dict[tuple[str, str], Event] = {}
        """The state that came with an invite or a knock."""
        self.typing: list[str] = []
        self.receipts: dict[tuple[str, str | None], str] = {}
        """User and thread: the event that was read last."""
        self.unread = (0, 0)
        """How many events notify, and how many of them highlight."""
        self.previous: str | None = None
        """Where the timeline before the first of the newest events begins."""
        self.gaps: list[str] = []
        """Where, backwards, events begin that /sync left out as they were too many."""

    def find(self, event_id: str) -> Event | None:
        """The event, once it has come."""
        return next((event for event in self.timeline if event["event_id"] == event_id), None)

    def bodies(self) -> list[str]:
        """The texts of all messages."""
        return [event["content"].get("body") for event in self.timeline if event["type"] == "m.room.message"]

    def content(self, kind: str, state_key: str = "") -> dict[str, Any]:
        """The content of one piece of state; empty where there is none."""
        return self.state.get((kind, state_key), {}).get("content", {})

    def member(self, user: str) -> str | None:
        """Somebody's membership."""
        return self.content("m.room.member", user).get("membership")

    def take(self, membership: str, news: Mapping[str, Any]) -> None:
        """Add what one answer says of the room."""
        self.membership = membership
        for event in news.get(f"{membership}_state", {}).get("events", ()):
            self.stripped[event["type"], event["state_key"]] = event
        timeline = news.get("timeline", {})
        self.previous = timeline.get("prev_batch", self.previous)
        if timeline.get("limited"):
            self.gaps.append(timeline["prev_batch"])
        for event in (*news.get("state", {}).get("events", ()), *timeline.get("events", ())):
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event
        self.timeline += timeline.get("events", ())
        if counts := news.get("unread_notifications"):
            self.unread = counts["notification_count"], counts["highlight_count"]
        for event in news.get("ephemeral", {}).get("events", ()):
            self._take_ephemeral(event["type"], event["content"])

    def _take_ephemeral(self, kind: str, content: dict[str, Any]) -> None:
        if kind == "m.typing":
            self.typing = content["user_ids"]
        if kind == "m.receipt":
            for event_id, receipts in content.items():
                for user, receipt in receipts.get("m.read", {}).items():
                    self.receipts[user, receipt.get("thread_id")] = event_id


class Person(Client):
    """One device of a user, who remembers everything that /sync said."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.rooms: dict[str, Room] = {}
        self.presence: dict[str, dict[str, Any]] = {}
        self.to_device: list[Event] = []
        self.changed_devices: set[str] = set()

    def room(self, room_id: str) -> Room:
        """What is known of a room, empty at first."""
        return self.rooms.setdefault(room_id, Room())

    async def turn(self, timeout_ms: int = 0) -> None:
        """Sync once and remember."""
        answer = await self.sync(timeout_ms=timeout_ms, filter=FILTER)
        for membership, rooms in answer.get("rooms", {}).items():
            for room_id, news in rooms.items():
                self.room(room_id).take(membership, news)
        for event in answer.get("presence", {}).get("events", ()):
            self.presence[event["sender"]] = event["content"]
        self.to_device += answer.get("to_device", {}).get("events", ())
        self.changed_devices.update(answer.get("device_lists", {}).get("changed", ()))

    async def until(self, condition: Callable[[], Found], seconds: float = PATIENCE) -> Found:
        """Sync until the condition holds; what it gave."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not (found := condition()):
            left = deadline - loop.time()
            assert left > 0, f"{self.user_id} waited in vain; {self._in_words()}"
            await self.turn(min(POLL_MS, int(left * 1000) + 1))
        return found

    def _in_words(self) -> str:
        told = {
            room_id: (room.membership, [(event["type"], event["content"]) for event in room.timeline[-8:]])
            for room_id, room in self.rooms.items()
        }
        return f"rooms {told}, presence {self.presence}, devices {self.changed_devices}"

    async def sees(self, room_id: str, event_id: str) -> Event:
        """The event, when it has come by /sync."""
        event = await self.until(lambda: self.room(room_id).find(event_id))
        assert event is not None
        return event

    async def sees_state(self, room_id: str, kind: str, state_key: str = "", **content: Any) -> None:
        """Wait until a piece of state holds these items."""
        await self.until(lambda: content.items() <= self.room(room_id).content(kind, state_key).items())

    async def sees_member(self, room_id: str, user: Client, membership: str) -> None:
        """Wait until somebody's membership is this one."""
        await self.until(lambda: self.room(room_id).member(user.user_id) == membership)

    async def is_in(self, room_id: str, membership: str) -> None:
        """Wait until the room stands in this section of the user's own /sync."""
        await self.until(lambda: self.room(room_id).membership == membership)

    async def history(self, room_id: str, start: str | None = None) -> list[Event]:
        """All that /messages gives, newest first, from where the newest timeline ends or from a token."""
        events: list[Event] = []
        place = start
        while True:
            query = {"dir": "b", "limit": 10} | ({"from": place} if place else {})
            page = (await self.get(path("rooms", room_id, "messages", **query))).ok()
            events += page["chunk"]
            place = page.get("end")
            if place is None:
                return events

    async def fill_gaps(self, room_id: str) -> None:
        """Have what /sync left out from /messages, as clients do when somebody reads on."""
        room = self.room(room_id)
        while room.gaps:
            known = {event["event_id"] for event in room.timeline}
            left_out = await self.history(room_id, room.gaps.pop())
            room.timeline += (event for event in left_out if event["event_id"] not in known)

    async def full_state(self, room_id: str) -> dict[tuple[str, str], str]:
        """Type and state key: event id, as the server has the room now."""
        events = (await self.get(path("rooms", room_id, "state"))).ok()
        return {(event["type"], event["state_key"]): event["event_id"] for event in events}


class Neighbor(Homeserver):
    """A homeserver that runs as a process, reached by HTTP."""

    client_type = Person

    def __init__(self, program: Program, session: aiohttp.ClientSession) -> None:
        super().__init__()
        self.program = program
        self._session = session

    @property
    def name(self) -> str:
        """The server's name."""
        return self.program.name

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> Answer:
        """Asks by the network."""
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        sent = {"Content-Type": "application/json", **headers} if content is not None else dict(headers)
        url = URL(self.program.url + target, encoded=True)
        async with self._session.request(method, url, headers=sent, data=content) as answer:
            found = await answer.read()
            kept = {name.lower(): value for name, value in answer.headers.items()}
            is_json = kept.get("content-type", "").startswith("application/json") and found
            return Answer(answer.status, kept, orjson.loads(found) if is_json else None, found)


def join_path(room: str, *via: str) -> str:
    """The path to join by id or alias, by way of these servers."""
    query = urlencode([("via", server) for server in via] + [("server_name", server) for server in via])
    return f"{path('join', room)}?{query}"


def alias_of(ada: Person) -> str:
    """The alias of her open room."""
    return f"#open-{ada.user_id[1:]}"


async def open_room(ada: Person, version: str = "11", **options: object) -> str:
    """A public room with an alias; its id."""
    localpart = alias_of(ada)[1:].split(":")[0]
    return await ada.create_room(
        preset="public_chat", room_version=version, room_alias_name=localpart, name="Open to all", **options
    )


async def shared_room(ada: Person, ben: Person, version: str = "11", **options: object) -> str:
    """An open room with both in it, both knowing so; its id."""
    room = await open_room(ada, version, **options)
    await ben.join(alias_of(ada))
    await ada.sees_member(room, ben, "join")
    await ben.sees_member(room, ada, "join")
    return room


async def agree(room: str, *people: Person) -> None:
    """Wait until their servers have the same state of the room."""
    async with asyncio.timeout(PATIENCE):
        while True:
            states = [await person.full_state(room) for person in people]
            if all(state == states[0] for state in states):
                return
            await people[0].turn(500)
