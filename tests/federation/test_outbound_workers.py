"""Several workers on one database send together."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.federation.outbound.service import SHARDS
from chamberlain.store.leases import Lease
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.postgres import Postgres
from tests.support.remote_members import join_as
from tests.support.server import Client, Server, path, test_config, until
from tests.support.wire import Wire


def said_to(peer: Peer) -> list[str]:
    """The texts of the messages that a peer was sent, in order."""
    return [
        pdu["content"]["body"]
        for txn in peer.transactions
        for pdu in txn["pdus"]
        if pdu["type"] == "m.room.message"
    ]


@pytest.mark.usefixtures("postgres")
async def test_each_destination_has_one_sender(
    wire: Wire, tmp_path: Path, clock: FakeClock, postgres: Postgres
) -> None:
    """Whoever took the event; and when a worker dies, the other one goes on with what it left."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    one, two = workers = [
        await Server.start(config, transport=wire.transport("near.test"), clock=clock) for _ in range(2)
    ]
    wire.servers = {str(number): worker for number, worker in enumerate(workers)}
    peers = [Peer.on(wire, f"p{number}.test", now=clock.now) for number in range(12)]
    for _ in range(10):
        await clock.advance(1)
        await asyncio.sleep(0.05)
    alice = await one.register("alice")
    room = await alice.create_room(preset="public_chat")
    for peer in peers:
        await join_as(one, room, peer.user())
    await alice.say(room, "one")

    async def all_have(text: str) -> bool:
        await asyncio.sleep(0.01)
        return all(text in said_to(peer) for peer in peers)

    await until(lambda: all_have("one"))
    dead, living = one, two
    for server in (dead, living):
        assert any(shard.delivery for shard in server.app.services.federation.outbound._shards)
    await kill(dead)
    carol = await living.register("carol")
    await carol.join(room)
    await carol.say(room, "two")

    async def have_two() -> bool:
        await clock.advance(1)
        return await all_have("two")

    await until(have_two)
    for peer in peers:
        assert said_to(peer) == ["one", "two"]


@pytest.mark.usefixtures("postgres")
async def test_what_came_before_anybody_saw_to_a_destination_is_told(
    wire: Wire, tmp_path: Path, clock: FakeClock, postgres: Postgres
) -> None:
    """A server that dies soon after its first start, before its workers have shared the destinations."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    first = await Server.start(config, transport=wire.transport("near.test"), clock=clock)
    wire.servers = {"first": first}
    peers = [Peer.on(wire, f"p{number}.test", now=clock.now) for number in range(12)]
    alice = await first.register("alice")
    room = await alice.create_room(preset="public_chat")
    for peer in peers:
        await join_as(first, room, peer.user())
    await alice.say(room, "early")
    assert sum(shard.delivery is not None for shard in first.app.services.federation.outbound._shards) <= 1
    await kill(first)
    wire.servers["second"] = await Server.start(config, transport=wire.transport("near.test"), clock=clock)

    async def all_have_it() -> bool:
        await clock.advance(1)
        await asyncio.sleep(0.01)
        return all("early" in said_to(peer) for peer in peers)

    await until(all_have_it)
    for peer in peers:
        assert said_to(peer) == ["early"]


def edus_to(peer: Peer, kind: str) -> list[Any]:
    """The contents of the EDUs of a type that a peer was sent, in order."""
    return [edu["content"] for txn in peer.transactions for edu in txn["edus"] if edu["edu_type"] == kind]


def typed_to(peer: Peer) -> list[bool]:
    """Whether somebody types, as a peer was told."""
    return [content["typing"] for content in edus_to(peer, "m.typing")]


def statuses_to(peer: Peer) -> list[str]:
    """The statuses that a peer was told; the same once more may be for those who have just come into a room."""
    pushed = [push for content in edus_to(peer, "m.presence") for push in content["push"]]
    return [*dict.fromkeys(push["status_msg"] for push in pushed if "status_msg" in push)]


@pytest.mark.usefixtures("postgres")
async def test_what_passes_quickly_is_told_once_whoever_hears_of_it(
    wire: Wire, tmp_path: Path, clock: FakeClock, postgres: Postgres
) -> None:
    """Typing, presence and receipts that one worker is told of reach the servers that another one sees to."""
    config = test_config(
        tmp_path, postgres.new_database(), server_name="near.test", cluster=Cluster(workers=2)
    )
    workers = [
        await Server.start(config, transport=wire.transport("near.test"), clock=clock) for _ in range(2)
    ]
    wire.servers = {str(number): worker for number, worker in enumerate(workers)}
    peers = [Peer.on(wire, f"p{number}.test", now=clock.now) for number in range(8)]

    async def pass_time_until(condition: Callable[[], bool]) -> None:
        # Never more time than really passes: on a slow machine nothing is to be told again meanwhile.
        async def is_so() -> bool:
            await asyncio.sleep(0.02)
            await clock.advance(0.02)
            return condition()

        await until(is_so, seconds=60)

    def all_is_held() -> bool:
        held = [
            sum(shard.delivery is not None for shard in worker.app.services.federation.outbound._shards)
            for worker in workers
        ]
        return sum(held) == SHARDS and all(held)

    await pass_time_until(all_is_held)
    alice = await workers[0].register("alice")
    room = await alice.create_room(preset="public_chat")
    for peer in peers:
        await join_as(workers[0], room, peer.user())
    event_id = await alice.say(room, "one")
    await pass_time_until(lambda: all(said_to(peer) == ["one"] for peer in peers))
    for number, worker in enumerate(workers):
        there = Client(worker, alice.token, alice.user_id, alice.device_id)
        there._txn = alice._txn
        for typing in (True, False):
            (await there.put(path("rooms", room, "typing", alice.user_id), {"typing": typing})).ok()
            told = [True, False] * number + [True, False][: 1 if typing else 2]
            await pass_time_until(lambda told=told: all(typed_to(peer) == told for peer in peers))
        status = {"presence": "online", "status_msg": f"status {number}"}
        (await there.put(path("presence", alice.user_id, "status"), status)).ok()
        (await there.post(path("rooms", room, "receipt", "m.read", event_id))).ok()
        event_id = await there.say(room, f"two {number}")
        statuses = [f"status {done}" for done in range(number + 1)]
        await pass_time_until(
            lambda statuses=statuses: all(
                statuses_to(peer) == statuses and len(edus_to(peer, "m.receipt")) == len(statuses)
                for peer in peers
            )
        )
    for peer in peers:
        assert typed_to(peer) == [True, False, True, False]


async def kill(server: Server) -> None:
    """Have the worker send nothing more, without letting the others have its leases."""

    async def nothing(lease: Lease) -> None:
        """The dead do not tidy up."""

    for shard in server.app.services.federation.outbound._shards:
        shard._end = nothing  # type: ignore[method-assign]
        await shard.close()
