"""/sync on both databases: whatever happens, keeping up gives what beginning anew gives."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.store import sync as rows
from chamberlain.sync import interest, log, wait
from chamberlain.sync.assemble import timeline
from tests.support.server import Client, Server, test_config
from tests.support.sync_model import Follower, follow

LAZY = {"room": {"state": {"lazy_load_members": True}}}
THREADS = {"room": {"timeline": {"unread_thread_notifications": True}}}


@pytest.fixture
async def servers(database_url: str, tmp_path: Path) -> AsyncIterator[list[Server]]:
    """One server on SQLite, two workers that share a database on PostgreSQL."""
    count = 1 if database_url.startswith("sqlite") else 2
    config = test_config(tmp_path, database_url, cluster=Cluster(workers=count))
    started = [await Server.start(config) for _ in range(count)]
    yield started
    for server in started:
        await server.stop()


def at(client: Client, server: Server) -> Client:
    """The same device, speaking to another worker."""
    return Client(server, client.token, client.user_id, client.device_id)


class Play:
    """Users who do things at random, in a few rooms."""

    def __init__(self, seed: int, clients: list[Client], rooms: list[str]) -> None:
        self.random = random.Random(seed)
        self.clients = clients
        self.rooms = rooms
        self.said: dict[str, list[str]] = {room: [] for room in rooms}

    async def step(self) -> None:
        """Somebody does something; what is not allowed is refused, and that is all."""
        who, room = self.random.choice(self.clients), self.random.choice(self.rooms)
        acts: list[Callable[[Client, str], Awaitable[Any]]] = [
            self.say,
            self.say,
            self.say,
            self.say_much,
            self.answer_in_thread,
            self.redact,
            self.read,
            self.mention,
            self.topic,
            self.enter,
            self.leave,
            self.invite,
            self.tag,
        ]
        await self.random.choice(acts)(who, room)

    async def say(self, who: Client, room: str, **content: Any) -> None:
        target = f"rooms/{quote(room)}/send/m.room.message/{self.random.random()}"
        answer = await who.put(target, {"msgtype": "m.text", "body": "hello", **content})
        if answer.status == 200:
            self.said[room].append(answer.json["event_id"])

    async def say_much(self, who: Client, room: str) -> None:
        for _ in range(12):
            await self.say(who, room)

    async def answer_in_thread(self, who: Client, room: str) -> None:
        if self.said[room]:
            relation = {"rel_type": "m.thread", "event_id": self.said[room][0]}
            await self.say(who, room, **{"m.relates_to": relation})

    async def mention(self, who: Client, room: str) -> None:
        other = self.random.choice(self.clients)
        await self.say(who, room, **{"m.mentions": {"user_ids": [other.user_id]}})

    async def redact(self, who: Client, room: str) -> None:
        if self.said[room]:
            target = quote(self.random.choice(self.said[room]))
            await who.put(f"rooms/{quote(room)}/redact/{target}/{self.random.random()}", {})

    async def read(self, who: Client, room: str) -> None:
        if self.said[room]:
            kind = self.random.choice(["m.read", "m.read.private"])
            await who.post(f"rooms/{quote(room)}/receipt/{kind}/{quote(self.said[room][-1])}")

    async def topic(self, who: Client, room: str) -> None:
        content = {"topic": f"{self.random.random()}"}
        await who.put(f"rooms/{quote(room)}/state/m.room.topic/", content)

    async def enter(self, who: Client, room: str) -> None:
        await who.post(f"join/{quote(room)}")

    async def leave(self, who: Client, room: str) -> None:
        if who is not self.clients[0]:
            await who.post(f"rooms/{quote(room)}/leave")

    async def invite(self, who: Client, room: str) -> None:
        other = self.random.choice(self.clients)
        await who.post(f"rooms/{quote(room)}/invite", {"user_id": other.user_id})

    async def tag(self, who: Client, room: str) -> None:
        target = f"user/{who.user_id}/rooms/{quote(room)}/tags/u.{self.random.randint(0, 3)}"
        await who.put(target, {"order": self.random.random()})


@pytest.mark.parametrize("seed", range(3))
async def test_a_random_story(servers: list[Server], seed: int) -> None:
    """At every few steps each client that kept up, at any worker, knows what a fresh one is told."""
    await play(servers, seed)


async def test_a_random_story_with_little_memory(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What memory has forgotten is asked of the database."""
    monkeypatch.setattr(log, "EVENTS_KEPT", 4)
    monkeypatch.setattr(log, "RECEIPTS_KEPT", 1)
    monkeypatch.setattr(interest, "NOTES_KEPT", 2)
    monkeypatch.setattr(wait, "USERS_KEPT", 1)
    monkeypatch.setattr(rows, "FEW_CHANGES", 0)
    monkeypatch.setattr(rows, "PAIRS", 0)
    monkeypatch.setattr(timeline, "PAGE", 2)
    await play(servers, 50)


async def play(servers: list[Server], seed: int) -> None:
    """Let a story happen and compare all along."""
    first, last = servers[0], servers[-1]
    clients = [await first.register(name) for name in ("alice", "bob", "carol")]
    rooms = [
        await clients[0].create_room(preset="public_chat", name="Kitchen"),
        await clients[0].create_room(preset="public_chat"),
        await clients[0].create_room(preset="private_chat"),
    ]
    story = Play(seed, clients, rooms)
    followers = [
        Follower(at(clients[0], last)),
        Follower(at(clients[1], last), filter=THREADS),
        Follower(clients[1], state_after=True),
        Follower(at(clients[2], last), state_after=True),
    ]
    lazy = Follower(at(clients[1], last), filter=LAZY)
    for _ in range(25):
        for _ in range(story.random.randint(1, 3)):
            await story.step()
        for follower in story.random.sample(followers, 2):
            await follow(follower)
        await lazy.sync()
        check_lazy(lazy)
    for follower in followers:
        await follow(follower)


def check_lazy(follower: Follower) -> None:
    """Every sender in the timeline is known."""
    for room in follower.joined.values():
        for event in room.timeline:
            assert ("m.room.member", event["sender"]) in room.state, event


async def test_news_reach_who_waits_at_another_worker(servers: list[Server]) -> None:
    """A long poll at one worker ends with what happens at another."""
    alice, bob = [await servers[0].register(name) for name in ("alice", "bob")]
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    there = at(bob, servers[-1])
    await there.sync()
    await alice.say(room, "hello")
    answer = await there.sync_until(lambda answer: room in answer.get("rooms", {}).get("join", {}))

    events = answer["rooms"]["join"][room]["timeline"]["events"]
    assert events[-1]["content"]["body"] == "hello"
    target = {"messages": {bob.user_id: {bob.device_id: {"a": 1}}}}
    (await alice.put("sendToDevice/org.example.a/t1", target)).ok()
    answer = await there.sync_until(lambda answer: "to_device" in answer)
    assert answer["to_device"]["events"][0]["content"] == {"a": 1}
    await bob.leave(room)
    answer = await there.sync_until(lambda answer: room in answer.get("rooms", {}).get("leave", {}))
    assert await servers[0].login("alice")
    assert (await there.get(f"rooms/{quote(room)}/state")).status == 200
