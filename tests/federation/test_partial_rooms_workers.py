"""Several workers on one database have one of them ask for the members of a room."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.rooms.pipeline.completion import LEASE_S
from tests.federation.test_conformance_partial import Lobby
from tests.federation.test_joining import join
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.postgres import Postgres
from tests.support.server import Client, Server, path, test_config, until
from tests.support.wire import Wire


class Workers:
    """Two workers of `near.test`; Alice has joined the lobby through the first, and reads its members at the other."""

    def __init__(self, one: Server, two: Server, lobby: Lobby, clock: FakeClock) -> None:
        self.one = one
        self.two = two
        self.lobby = lobby
        self.clock = clock

    @property
    def asked(self) -> int:
        """How often the peer was asked who is in the room."""
        return sum(one.name == "state_ids" for one in self.lobby.peer.asked)

    async def enter(self) -> asyncio.Task[Any]:
        """Have her join, and read; both workers then know that the members are missing."""
        alice = await self.one.register("alice")
        await join(alice, self.lobby.room_id)
        there = Client(self.two, alice.token, alice.user_id, alice.device_id)

        async def has_asked() -> bool:
            return self.asked == 1

        await until(has_asked)
        reading = asyncio.ensure_future(there.get(path("rooms", self.lobby.room_id, "members")))

        async def waits() -> bool:
            return self.lobby.room_id in self.two.app.services.rooms.completion._news

        await until(waits)
        return reading


@pytest.fixture
async def workers(wire: Wire, tmp_path: Path, clock: FakeClock, postgres: Postgres) -> AsyncIterator[Workers]:
    """The two, and the room."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    one, two = [
        await Server.start(config, transport=wire.transport("near.test"), clock=clock) for _ in range(2)
    ]
    wire.servers = {"near.test": one, "two": two}
    lobby = Lobby(Peer.on(wire, "peer.test", now=clock.now))
    yield Workers(one, two, lobby, clock)
    lobby.let_go.set()


async def test_one_worker_asks(workers: Workers) -> None:
    """Whoever waits for the members at the other one gets them as soon as they are there."""
    reading = await workers.enter()
    assert workers.asked == 1

    workers.lobby.let_go.set()
    found = {event["state_key"] for event in (await reading).ok()["chunk"]}
    assert workers.lobby.derek in found
    assert workers.asked == 1


async def test_another_goes_on_when_it_dies(workers: Workers) -> None:
    """After the lease has run out."""
    reading = await workers.enter()
    dead = workers.one.app.services.rooms.completion
    # The dead do not tidy up.
    dead._leases.clear()
    await dead.close()

    async def has_taken_over() -> bool:
        await workers.clock.advance(LEASE_S / 10)
        return workers.asked == 2

    await until(has_taken_over)
    workers.lobby.let_go.set()
    found = {event["state_key"] for event in (await reading).ok()["chunk"]}
    assert workers.lobby.derek in found


async def test_a_worker_that_stops_leaves_it_to_the_others(workers: Workers) -> None:
    """And one that was never asked about the room looks for it by itself."""
    alice = await workers.one.register("alice")
    await join(alice, workers.lobby.room_id)

    async def has_asked(times: int) -> bool:
        return workers.asked == times

    await until(lambda: has_asked(1))
    await workers.one.app.services.rooms.completion.close()

    async def has_taken_over() -> bool:
        await workers.clock.advance(LEASE_S / 10)
        return await has_asked(2)

    await until(has_taken_over)
