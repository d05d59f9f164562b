"""Typing and presence where two workers share a database: whoever hears of it, all clients see it, once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chamberlain.config import Config
from chamberlain.config.cluster import Cluster
from chamberlain.runtime.bus import Bus
from chamberlain.sync.presence import GONE_SECONDS, IDLE_SECONDS
from tests.support.asgi import Answer
from tests.support.clock import FakeClock
from tests.support.postgres import Postgres
from tests.support.server import Client, Homeserver, Server, path, test_config, until


@pytest.fixture
def config(tmp_path: Path, postgres: Postgres) -> Config:
    """That of workers which share a database."""
    return test_config(tmp_path, postgres.new_database(), cluster=Cluster(workers=2))


@pytest.fixture
async def workers(config: Config, clock: FakeClock) -> AsyncIterator[list[Server]]:
    """Two of them; a test may add more."""
    started = [await Server.start(config, clock=clock) for _ in range(2)]
    yield started
    for server in started:
        await server.stop()


def at(client: Client, server: Homeserver) -> Client:
    """The same device, speaking to another worker."""
    same = Client(server, client.token, client.user_id, client.device_id)
    same._txn = client._txn
    return same


class Balancer(Homeserver):
    """Sends each request to another worker than the one before."""

    def __init__(self, workers: list[Server]) -> None:
        super().__init__()
        self._turn = itertools.cycle(workers)

    async def answer(self, method: str, target: str, headers: Mapping[str, str], body: Any) -> Answer:
        return await next(self._turn).answer(method, target, headers, body)


async def comes_true(clock: FakeClock, condition: Callable[[], Awaitable[bool]]) -> None:
    """Let a little time pass until it is so: never more than really passes, so that a slow machine ends nothing."""

    async def is_so() -> bool:
        await asyncio.sleep(0.005)
        await clock.advance(0.005)
        return await condition()

    await until(is_so, seconds=60)


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Told after everything else."""

    number: int


class Marks:
    """The marks that a worker has heard."""

    kind = Mark

    def __init__(self, bus: Bus) -> None:
        self.numbers: set[int] = set()
        bus.subscribe("marks", self)

    async def prepare(self, news: Mark) -> None:
        """Nothing has to be known."""

    def heard(self, worker: str, news: Mark) -> None:
        self.numbers.add(news.number)

    def lost(self, worker: str) -> None:
        """That changes nothing."""

    def repeat(self, *, all_of_it: bool) -> None:
        """Nobody asks for them."""


async def agreed(clock: FakeClock, workers: list[Server]) -> None:
    """Return when every worker has heard what all of them told, and what they told when they heard it."""
    buses = [worker.app._bus for worker in workers]
    for _ in range(2):
        marks = [Marks(bus) for bus in buses]
        for number, bus in enumerate(buses):
            bus.tell("marks", f"{number}", Mark(number), later=True)

        async def all_heard(marks: list[Marks] = marks) -> bool:
            return all(len(mark.numbers) == len(buses) for mark in marks)

        await comes_true(clock, all_heard)


async def share_a_room(*clients: Client) -> str:
    """A room of these; all workers know them."""
    room = await clients[0].create_room(preset="public_chat")
    for other in clients[1:]:
        await other.join(room)
    return room


async def types(client: Client, room: str, *, typing: bool = True, timeout: int = 20_000) -> None:
    """The client's user types, or does not."""
    (
        await client.put(
            path("rooms", room, "typing", client.user_id), {"typing": typing, "timeout": timeout}
        )
    ).ok()


def typing_in(answer: Any, room: str) -> list[list[str]]:
    """The lists of who types that an answer brings."""
    events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
    return [event["content"]["user_ids"] for event in events if event["type"] == "m.typing"]


def shown(answer: Any) -> list[tuple[str, str]]:
    """The presences that an answer brings."""
    events = answer.get("presence", {}).get("events", [])
    return [(event["sender"], event["content"]["presence"]) for event in events]


async def quiet(client: Client) -> Any:
    """What there is, without showing that one is there."""
    return await client.sync(set_presence="offline")


class Reader:
    """Collects what a client hears of who types and who is there."""

    def __init__(self, client: Client, room: str) -> None:
        self.client = client
        self.room = room
        self.typing: list[list[str]] = []
        self.presence: list[tuple[str, str]] = []

    async def read(self) -> None:
        answer = await quiet(self.client)
        self.typing += typing_in(answer, self.room)
        self.presence += shown(answer)

    async def hears_typing(self, clock: FakeClock, users: list[str]) -> None:
        """Return when these are the ones who type, as far as was heard."""
        await self.until(clock, lambda: self.typing[-1:] == [users])

    async def until(self, clock: FakeClock, condition: Callable[[], bool]) -> None:
        async def is_so() -> bool:
            await self.read()
            return condition()

        await comes_true(clock, is_so)


async def test_typing_is_seen_at_both_once(workers: list[Server], clock: FakeClock) -> None:
    """Its beginning and its end, whichever worker is told; who goes to and fro between them hears each once."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await share_a_room(alice, bob)
    readers = [Reader(at(bob, server), room) for server in (one, two, Balancer(workers))]
    for reader in readers:
        await comes_true(clock, lambda reader=reader: joined(reader.client, room))
    for teller in (one, two):
        for typing in (True, False):
            await types(at(alice, teller), room, typing=typing)
            expected = [alice.user_id] if typing else []
            for reader in readers:
                await reader.hears_typing(clock, expected)
            await agreed(clock, workers)
            for reader in readers:
                for _ in range(4):
                    await reader.read()
    for reader in readers:
        assert reader.typing == [[alice.user_id], [], [alice.user_id], []]


async def joined(client: Client, room: str) -> bool:
    """Whether the client, as it is served now, is in the room."""
    await quiet(client)
    return (await client.get(path("rooms", room, "state"))).status == 200


async def test_typing_that_is_told_here_and_ended_there_ends(workers: list[Server], clock: FakeClock) -> None:
    """By a request at another worker; what nobody ends does so by its time, everywhere."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await share_a_room(alice, bob)
    reader, there = Reader(at(bob, two), room), at(alice, two)
    await comes_true(clock, lambda: joined(there, room))
    await types(alice, room)
    await reader.hears_typing(clock, [alice.user_id])
    await types(there, room, typing=False)
    await reader.hears_typing(clock, [])
    await types(there, room, timeout=10_000)
    await reader.hears_typing(clock, [alice.user_id])
    await clock.advance(10)
    await reader.hears_typing(clock, [])
    # One who ceases at once, before anybody has heard of it.
    await types(alice, room)
    await types(alice, room, typing=False)
    await agreed(clock, workers)
    for worker in workers:
        assert worker.app.services.rooms.typing.users(room) == []


async def test_one_is_online_as_long_as_a_client_syncs_anywhere(
    workers: list[Server], clock: FakeClock
) -> None:
    """All see it, at either worker, and who asks; offline one is when the last client has ended."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await share_a_room(alice, bob)
    readers = [Reader(at(alice, server), room) for server in (one, two, Balancer(workers))]
    target = path("presence", bob.user_id, "status")
    phone, laptop = at(bob, one), at(bob, two)
    await laptop.sync()
    await agreed(clock, workers)
    for reader in readers:
        await reader.until(clock, lambda reader=reader: reader.presence == [(bob.user_id, "online")])
        assert (await reader.client.get(target)).ok()["presence"] == "online"
    await phone.sync()
    for _ in range(4):
        # The laptop is closed; the phone goes on.
        await clock.advance(GONE_SECONDS / 2)
        await phone.sync()
        await agreed(clock, workers)
    for reader in readers:
        await reader.read()
        assert reader.presence == [(bob.user_id, "online")]
    await clock.advance(GONE_SECONDS + 1)
    for reader in readers:
        await reader.until(clock, lambda reader=reader: reader.presence[1:] == [(bob.user_id, "offline")])
        assert (await reader.client.get(target)).ok()["presence"] == "offline"
    (await laptop.put(target, {"presence": "unavailable", "status_msg": "at sea"})).ok()
    for reader in readers:
        await reader.until(clock, lambda reader=reader: reader.presence[2:] == [(bob.user_id, "unavailable")])
        assert (await reader.client.get(target)).ok()["status_msg"] == "at sea"


async def test_what_one_does_at_another_worker_shows_that_one_is_there(
    workers: list[Server], clock: FakeClock
) -> None:
    """A client that syncs here and sends there is not idle; one that only syncs is, in time."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await share_a_room(alice, bob)
    reader, there = Reader(alice, room), at(bob, two)
    await comes_true(clock, lambda: joined(there, room))
    for minute in range(int(IDLE_SECONDS // 20) + 9):
        await bob.sync()
        await clock.advance(20)
        if minute % 3 == 0:
            await there.say(room, f"{minute}")
        await agreed(clock, workers)
    await reader.read()
    assert reader.presence[-1] == (bob.user_id, "online")

    while reader.presence[-1] != (bob.user_id, "unavailable"):
        waiting = asyncio.create_task(bob.sync(timeout_ms=20_000))
        await clock.advance(21)
        await waiting
        await agreed(clock, workers)
        await reader.read()
    await there.say(room, "back")
    await reader.until(clock, lambda: reader.presence[-1] == (bob.user_id, "online"))


async def test_what_a_dead_worker_knew_ends(workers: list[Server], clock: FakeClock, config: Config) -> None:
    """Who had clients there alone is offline after a while, and types no more; others are as they were."""
    one, two = workers
    alice, bob, carol = [await one.register(name) for name in ("alice", "bob", "carol")]
    room = await share_a_room(alice, bob, carol)
    there = at(bob, two)
    await comes_true(clock, lambda: joined(there, room))
    await there.sync()
    await at(carol, two).sync()
    await carol.sync()
    await types(there, room, timeout=60_000)
    await agreed(clock, workers)
    reader = Reader(alice, room)
    await reader.read()
    assert {*reader.presence} == {(bob.user_id, "online"), (carol.user_id, "online")}
    assert reader.typing == [[bob.user_id]]

    # It does not tell, hear or end anything any more.
    await two.app._bus.close()
    await two.app.services.sync.presence.close()
    two.app.services.rooms.typing.close()

    while (bob.user_id, "offline") not in reader.presence or reader.typing[-1] != []:
        await clock.advance(5)
        await agreed(clock, [one])
        await carol.sync()
        await reader.read()
    assert (carol.user_id, "offline") not in reader.presence


async def test_a_worker_that_starts_knows_who_is_there(
    workers: list[Server], clock: FakeClock, config: Config
) -> None:
    """It is told by the others, and nobody else hears anything anew."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await share_a_room(alice, bob)
    await comes_true(clock, lambda: joined(at(bob, two), room))
    await at(bob, two).sync()
    await types(bob, room)
    reader = Reader(alice, room)
    await reader.until(clock, lambda: bool(reader.presence and reader.typing))
    await agreed(clock, workers)
    workers.append(await Server.start(config, clock=clock))
    await agreed(clock, workers)
    fresh = Reader(at(alice, workers[2]), room)
    await fresh.until(clock, lambda: fresh.presence[-1:] == [(bob.user_id, "online")])
    await fresh.until(clock, lambda: fresh.typing[-1:] == [[bob.user_id]])
    await reader.read()

    assert (reader.presence, reader.typing) == ([(bob.user_id, "online")], [[bob.user_id]])
    # The token of the new one is good at the old ones, and the other way round.
    fresh.client, reader.client = reader.client, fresh.client
    fresh.client.since, reader.client.since = reader.client.since, fresh.client.since
    for either in (fresh, reader):
        before = list(either.typing)
        await either.read()
        assert either.typing == before


async def test_who_comes_to_share_a_room_hears_of_the_others(workers: list[Server], clock: FakeClock) -> None:
    """Though they sync at one worker and joined through the other."""
    one, two = workers
    alice, bob = [await one.register(name) for name in ("alice", "bob")]
    room = await alice.create_room(preset="public_chat")
    readers = [Reader(at(alice, one), room), Reader(at(bob, two), room)]
    for reader in readers:
        await reader.client.sync()
        await agreed(clock, workers)
    await bob.join(room)
    for reader, other in zip(readers, (bob, alice), strict=True):
        await reader.until(
            clock, lambda reader=reader, other=other: (other.user_id, "online") in reader.presence
        )
