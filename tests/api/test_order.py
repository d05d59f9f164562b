"""In which order clients are answered."""

import asyncio
from pathlib import Path

from tests.support.server import Client, Server, test_config


async def test_a_sender_is_answered_before_those_who_wait(tmp_path: Path, database_url: str) -> None:
    """A client knows the id of its event before its own /sync brings the event."""
    server = await Server.start(test_config(tmp_path, database_url))
    alice, bob = await server.register("alice"), await server.register("bob")
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    for client in (alice, bob):
        await client.sync(set_presence="offline")
    order: list[str] = []

    async def wait(client: Client) -> None:
        answer = await client.sync(timeout_ms=10_000, set_presence="offline")
        assert answer["rooms"]["join"][room]["timeline"]["events"]
        order.append("sync")

    async def send(number: int) -> None:
        await alice.say(room, f"hello {number}")
        order.append("send")

    for number in range(5):
        waiting = [asyncio.create_task(wait(client)) for client in (alice, bob)]
        while server.app.services.sync.waiting.count < 2:
            await asyncio.sleep(0)
        await asyncio.gather(*waiting, send(number))

    assert order == ["send", "sync", "sync"] * 5
    await server.stop()
