"""Two matrix-nio clients with encryption talk through the running server, and one of them starts anew."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.encrypted import Encrypted, make_encrypted_room
from tests.support.process import Process


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """A server where everyone may register."""
    options = ("registration.enabled=true", "passwords.hash_cost=lowest", "rate_limits.enabled=false")
    with Process(tmp_path, *(part for option in options for part in ("--set", option))) as process:
        yield process
        assert process.stop() == 0


@pytest.fixture
async def people(server: Process, tmp_path: Path) -> AsyncIterator[tuple[Encrypted, Encrypted]]:
    """Alice and Bob, both registered."""
    url = f"http://127.0.0.1:{server.port}"
    alice, bob = (Encrypted(url, f"@{name}:localhost", tmp_path) for name in ("alice", "bob"))
    for person in (alice, bob):
        await person.register()
    yield alice, bob
    for person in (alice, bob):
        await person.client.close()


async def test_encrypted_messages_both_ways(server: Process, people: tuple[Encrypted, Encrypted]) -> None:
    """Each reads what the other wrote, also after one of the devices was started anew; the server reads nothing."""
    alice, bob = people
    room = await make_encrypted_room(alice, bob)

    await alice.say(room, "hello bob")
    await bob.turn_until(lambda: ("@alice:localhost", "hello bob") in bob.read, alice)
    await bob.say(room, "hello alice")
    await alice.turn_until(lambda: ("@bob:localhost", "hello alice") in alice.read, bob)

    await bob.restart()
    await alice.say(room, "are you back?")
    await bob.turn_until(lambda: ("@alice:localhost", "are you back?") in bob.read, alice)
    await bob.say(room, "I am")
    await alice.turn_until(lambda: ("@bob:localhost", "I am") in alice.read, bob)

    assert alice.unread == bob.unread == []
    status, page = server.call(
        "GET", f"/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50", None, alice.client.access_token
    )
    assert status == 200
    kinds = [event["type"] for event in page["chunk"]]
    assert kinds.count("m.room.encrypted") == 4
    assert "m.room.message" not in kinds
