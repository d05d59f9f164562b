"""Presence: who is online, seen by those who share a room."""

import asyncio
from typing import Any

from tests.support.clock import FakeClock
from tests.support.server import Client

NO_PRESENCE = '{"presence":{"not_types":["*"]}}'


def shown(answer: dict[str, Any]) -> dict[str, str]:
    """The presence by user in an answer."""
    events = answer.get("presence", {}).get("events", [])
    return {event["sender"]: event["content"]["presence"] for event in events}


async def share_a_room(*clients: Client) -> str:
    """A room of these."""
    room = await clients[0].create_room(preset="public_chat")
    for other in clients[1:]:
        await other.join(room)
    return room


async def test_syncing_makes_one_online(alice: Client, bob: Client) -> None:
    """Who syncs is online for those who share a room, unless they say otherwise."""
    await share_a_room(alice, bob)
    await alice.sync(set_presence="offline")
    await bob.sync()

    assert shown(await alice.sync(set_presence="offline")) == {bob.user_id: "online"}
    await bob.sync(set_presence="unavailable")
    assert shown(await alice.sync(set_presence="offline")) == {bob.user_id: "unavailable"}
    assert shown(await alice.sync(set_presence="offline")) == {}
    fresh = Client(alice.server, alice.token)
    assert shown(await fresh.sync(set_presence="offline")) == {bob.user_id: "unavailable"}


async def test_who_stops_syncing_is_offline_after_a_while(
    alice: Client, bob: Client, clock: FakeClock
) -> None:
    """Half a minute after the last sync one is offline."""
    await share_a_room(alice, bob)
    await bob.sync()
    await alice.sync(set_presence="offline")
    await clock.advance(29)
    assert shown(await alice.sync(set_presence="offline")) == {}
    await clock.advance(2)

    assert shown(await alice.sync(set_presence="offline")) == {bob.user_id: "offline"}


async def test_a_status_is_told(alice: Client, bob: Client) -> None:
    """What one sets reaches the others, and who asks."""
    await share_a_room(alice, bob)
    await alice.sync(set_presence="offline")
    target = f"presence/{bob.user_id}/status"
    (await bob.put(target, {"presence": "online", "status_msg": "cooking"})).ok()
    (event,) = (await alice.sync(set_presence="offline"))["presence"]["events"]

    assert event["sender"] == bob.user_id
    assert event["content"] == {
        "presence": "online",
        "status_msg": "cooking",
        "last_active_ago": 0,
        "currently_active": True,
    }
    assert (await alice.get(target)).ok() == event["content"]


async def test_presence_is_for_those_who_share_a_room(alice: Client, bob: Client, carol: Client) -> None:
    """A stranger neither hears of it nor may ask; nobody sets another's."""
    await share_a_room(alice, bob)
    await carol.sync(set_presence="offline")
    target = f"presence/{bob.user_id}/status"
    (await bob.put(target, {"presence": "online"})).ok()

    assert shown(await carol.sync(set_presence="offline")) == {}
    (await carol.get(target)).error(403, "M_FORBIDDEN")
    (await alice.put(target, {"presence": "offline"})).error(403, "M_FORBIDDEN")
    (await bob.put(target, {"presence": "asleep"})).error(400, "M_BAD_JSON")
    (await bob.put(target, {"presence": "online", "status_msg": "x" * 5_000})).error(400, "M_INVALID_PARAM")


async def test_those_of_whom_nothing_is_known(alice: Client, bob: Client) -> None:
    """They are offline, for whoever asks and for who comes to share a room with them."""
    room = await share_a_room(alice, bob)
    for client in (alice, bob):
        assert (await client.get(f"presence/{bob.user_id}/status")).ok() == {"presence": "offline"}

    await bob.sync(set_presence="offline")
    carol = await alice.server.register("carol")
    await carol.sync()
    await carol.join(room)
    events = (await carol.sync())["presence"]["events"]
    assert {"type": "m.presence", "sender": bob.user_id, "content": {"presence": "offline"}} in events


async def test_newcomers_are_told_of_each_other(alice: Client, bob: Client) -> None:
    """Who comes to share a room hears who is online there, and is heard of."""
    room = await alice.create_room(preset="public_chat")
    await alice.sync()
    await bob.sync()
    await bob.join(room)

    assert shown(await bob.sync())[alice.user_id] == "online"
    assert shown(await alice.sync())[bob.user_id] == "online"


async def test_idle_clients_are_unavailable(alice: Client, bob: Client, clock: FakeClock) -> None:
    """Who only waits for long is unavailable, and online again with the first thing they do."""
    room = await share_a_room(alice, bob)
    await alice.sync(set_presence="offline")
    for _ in range(3):
        await bob.sync(filter=NO_PRESENCE)
    for _ in range(4):
        # Only what others do would end the wait.
        waiting = asyncio.create_task(bob.sync(timeout_ms=90_000, filter=NO_PRESENCE))
        await clock.advance(91)
        await waiting
    waiting = asyncio.create_task(bob.sync(timeout_ms=90_000, filter=NO_PRESENCE))
    seen = shown(await alice.sync(set_presence="offline"))
    assert seen.get(bob.user_id) == "unavailable"
    await bob.say(room, "back")
    assert shown(await alice.sync(set_presence="offline"))[bob.user_id] == "online"
    await waiting
