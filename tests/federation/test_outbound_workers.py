"""Several workers on one database send together."""

import asyncio
from pathlib import Path

import pytest

from chamberlain.config.cluster import Cluster
from chamberlain.store.leases import Lease
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.postgres import Postgres
from tests.support.remote_members import join_as
from tests.support.server import Server, test_config, until
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


async def kill(server: Server) -> None:
    """Have the worker send nothing more, without letting the others have its leases."""

    async def nothing(lease: Lease) -> None:
        """The dead do not tidy up."""

    for shard in server.app.services.federation.outbound._shards:
        shard._end = nothing  # type: ignore[method-assign]
        await shard.close()
