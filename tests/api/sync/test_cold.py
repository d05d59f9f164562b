"""Tokens from before the process: answered from the database as well as from memory."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Client, Server, test_config
from tests.support.sync_model import Follower, follow

LAZY = {"room": {"state": {"lazy_load_members": True}}}


class Story:
    """A server that is stopped and started again between all that happens."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.server: Server
        self.clients: list[Client] = []

    async def start(self) -> None:
        """Start the server; the clients speak to it from now on."""
        self.server = await Server.start(self.config)
        for client in self.clients:
            client.server = self.server

    async def restart(self) -> None:
        """Stop the server and start it again."""
        await self.server.stop()
        await self.start()


@pytest.mark.parametrize("state_after", [False, True])
async def test_a_story_with_restarts(tmp_path: Path, state_after: bool) -> None:
    """Who keeps up over restarts knows what who begins anew is told."""
    story = Story(test_config(tmp_path))
    await story.start()
    alice, bob, carol = [await story.server.register(name) for name in ("alice", "bob", "carol")]
    story.clients = [alice, bob, carol]
    follower = Follower(bob, state_after=state_after)
    kitchen = await alice.create_room(preset="public_chat", name="Kitchen")
    quiet = await alice.create_room(preset="public_chat")
    await bob.join(quiet)
    await follow(follower)
    cellar = await alice.create_room(invite=[bob.user_id])

    async def many() -> None:
        for number in range(15):
            await alice.say(kitchen, f"{number}")

    steps: list[Callable[[], Awaitable[object]]] = [
        lambda: bob.join(kitchen),
        lambda: alice.say(kitchen, "hi"),
        lambda: alice.set_state(kitchen, "m.room.topic", {"topic": "Soup"}),
        many,
        lambda: bob.put(f"user/{bob.user_id}/account_data/org.example.a", {"a": 1}),
        lambda: bob.put(f"user/{bob.user_id}/rooms/{quiet}/tags/u.a", {}),
        lambda: carol.join(quiet),
        lambda: bob.leave(kitchen),
        lambda: bob.join(cellar),
        lambda: bob.leave(cellar),
        lambda: alice.invite(cellar, bob),
    ]
    for step in steps:
        await step()
        await story.restart()
        answer = await follower.sync()
        assert len(answer.get("rooms", {}).get("join", {})) <= 1
        await follow(follower)
    await story.server.stop()


async def test_device_lists_over_a_restart(tmp_path: Path) -> None:
    """Who changed devices, came and went is told from the database too."""
    story = Story(test_config(tmp_path))
    await story.start()
    alice, bob, carol = [await story.server.register(name) for name in ("alice", "bob", "carol")]
    story.clients = [alice, bob, carol]
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    await alice.sync()
    await story.server.login("bob")
    await carol.join(room)
    await story.restart()

    assert (await alice.sync())["device_lists"] == {"changed": [bob.user_id, carol.user_id], "left": []}
    await carol.leave(room)
    await story.restart()
    assert (await alice.sync())["device_lists"]["left"] == [carol.user_id]
    assert "device_lists" not in await alice.sync()
    await story.server.stop()


async def test_to_device_messages_over_a_restart(tmp_path: Path) -> None:
    """What was not acknowledged comes again, what was does not."""
    story = Story(test_config(tmp_path))
    await story.start()
    alice, bob = [await story.server.register(name) for name in ("alice", "bob")]
    story.clients = [alice, bob]
    await bob.sync()
    for number in (1, 2):
        target = {"messages": {bob.user_id: {bob.device_id: {"number": number}}}}
        (await alice.put(f"sendToDevice/org.example.number/t{number}", target)).ok()
    before = bob.since
    assert len((await bob.sync())["to_device"]["events"]) == 2
    await story.restart()
    bob.since = before
    assert len((await bob.sync())["to_device"]["events"]) == 2
    await story.restart()

    assert "to_device" not in await bob.sync()
    await story.server.stop()


async def test_lazy_members_over_a_restart(tmp_path: Path) -> None:
    """A server that has forgotten whom it sent sends them again rather than not at all."""
    story = Story(test_config(tmp_path))
    await story.start()
    alice, bob = [await story.server.register(name) for name in ("alice", "bob")]
    story.clients = [alice, bob]
    room = await alice.create_room(preset="public_chat")
    await bob.join(room)
    follower = Follower(bob, filter=LAZY)
    await follower.sync()
    await story.restart()
    await alice.say(room, "hello")
    answer = await follower.sync()

    state = answer["rooms"]["join"][room]["state"]["events"]
    assert [event["state_key"] for event in state] == [alice.user_id]
    await story.server.stop()
