"""Ephemeral events, account data, to-device messages and device lists of /sync."""

from typing import Any
from urllib.parse import quote

import orjson

from tests.support.clock import FakeClock
from tests.support.server import Client, Server
from tests.support.sync_model import assert_incremental_equals_full


async def a_room(alice: Client, *others: Client, **options: Any) -> str:
    """A room of these, all of whom have synced."""
    room = await alice.create_room(preset="public_chat", **options)
    for other in others:
        await other.join(room)
    for client in (alice, *others):
        await client.sync()
    return room


async def test_typing_is_told_and_taken_back(alice: Client, bob: Client, clock: FakeClock) -> None:
    """Who types is told to the room, and when they stop or their time is up, too."""
    room = await a_room(alice, bob)
    (await alice.put(f"rooms/{room}/typing/{alice.user_id}", {"typing": True, "timeout": 10_000})).ok()
    part = (await bob.sync())["rooms"]["join"][room]

    assert part["ephemeral"]["events"] == [{"type": "m.typing", "content": {"user_ids": [alice.user_id]}}]
    assert "rooms" not in await bob.sync()
    await assert_incremental_equals_full(bob)
    await clock.advance(11)
    part = (await bob.sync())["rooms"]["join"][room]
    assert part["ephemeral"]["events"] == [{"type": "m.typing", "content": {"user_ids": []}}]


async def test_a_receipt_is_told_once(alice: Client, bob: Client) -> None:
    """A public receipt comes to the others with its time, once, and is there for who begins anew."""
    room = await a_room(alice, bob)
    event_id = await alice.say(room, "hello")
    await alice.sync()
    (await bob.post(f"rooms/{room}/receipt/m.read/{quote(event_id)}")).ok()
    part = (await alice.sync())["rooms"]["join"][room]

    (event,) = part["ephemeral"]["events"]
    assert event["type"] == "m.receipt"
    assert list(event["content"][event_id]["m.read"]) == [bob.user_id]
    assert part["timeline"]["events"] == []
    assert "rooms" not in await alice.sync()
    await assert_incremental_equals_full(alice)
    wanted = orjson.dumps({"room": {"ephemeral": {"not_types": ["m.receipt"]}}}).decode()
    fresh = await Client(alice.server, alice.token).sync(filter=wanted)
    assert fresh["rooms"]["join"][room]["ephemeral"]["events"] == []


async def test_account_data_comes_when_it_changes(alice: Client, bob: Client) -> None:
    """Global and room account data reach the user's devices, and nobody else."""
    room = await a_room(alice, bob)
    base = f"user/{alice.user_id}"
    (await alice.put(f"{base}/account_data/org.example.color", {"color": "red"})).ok()
    (await alice.put(f"{base}/rooms/{room}/account_data/org.example.note", {"note": 1})).ok()
    (await alice.put(f"{base}/rooms/{room}/tags/m.favourite", {"order": 0.5})).ok()
    answer = await alice.sync()

    assert answer["account_data"]["events"] == [{"type": "org.example.color", "content": {"color": "red"}}]
    assert answer["rooms"]["join"][room]["account_data"]["events"] == [
        {"type": "org.example.note", "content": {"note": 1}},
        {"type": "m.tag", "content": {"tags": {"m.favourite": {"order": 0.5}}}},
    ]
    assert "account_data" not in await alice.sync()
    assert "account_data" not in await bob.sync()
    await assert_incremental_equals_full(alice)


async def test_push_rules_are_account_data(alice: Client) -> None:
    """A first sync has the whole ruleset, defaults included; a change brings it again."""
    (event,) = (await alice.sync())["account_data"]["events"]
    assert event["type"] == "m.push_rules"
    assert event["content"] == {"global": (await alice.get("pushrules/")).ok()["global"]}
    rule = {"pattern": "cake", "actions": ["notify"]}
    (await alice.put("pushrules/global/content/cake", rule)).ok()

    (event,) = (await alice.sync())["account_data"]["events"]
    assert event["content"]["global"]["content"][0]["pattern"] == "cake"


async def test_to_device_messages_come_until_they_are_acknowledged(alice: Client, bob: Client) -> None:
    """A message comes again for the same token, and is gone once a later one is used."""
    await bob.sync()
    target = {"messages": {bob.user_id: {bob.device_id: {"hello": 1}}}}
    (await alice.put("sendToDevice/org.example.greeting/t1", target)).ok()
    before = bob.since
    message = {"type": "org.example.greeting", "sender": alice.user_id, "content": {"hello": 1}}

    assert (await bob.sync())["to_device"]["events"] == [message]
    bob.since = before
    assert (await bob.sync())["to_device"]["events"] == [message]
    assert "to_device" not in await bob.sync()
    bob.since = before
    assert "to_device" not in await bob.sync()


async def test_many_to_device_messages_come_in_portions(alice: Client, bob: Client) -> None:
    """More messages than an answer holds come with the next ones, none twice, none lost."""
    await bob.sync()
    for number in range(250):
        target = {"messages": {bob.user_id: {bob.device_id: {"number": number}}}}
        (await alice.put(f"sendToDevice/org.example.number/t{number}", target)).ok()
    found: list[int] = []
    while "to_device" in (answer := await bob.sync(timeout_ms=1)):
        found += [event["content"]["number"] for event in answer["to_device"]["events"]]
        if len(found) == 250:
            break

    assert found == list(range(250))


async def test_a_new_device_is_told_to_who_shares_a_room(
    server: Server, alice: Client, bob: Client, carol: Client
) -> None:
    """device_lists.changed names who has changed their devices, to those who share a room with them."""
    await a_room(alice, bob)
    await carol.sync()
    await server.login("alice")

    assert (await bob.sync())["device_lists"] == {"changed": [alice.user_id], "left": []}
    assert "device_lists" not in await bob.sync()
    assert "device_lists" not in await carol.sync()


async def test_who_comes_and_goes_changes_the_device_lists(alice: Client, bob: Client) -> None:
    """Who begins to share a room is `changed`, with whom none is shared any more has `left`."""
    encryption = {
        "type": "m.room.encryption",
        "content": {"algorithm": "m.megolm.v1.aes-sha2"},
        "state_key": "",
    }
    room = await a_room(alice, initial_state=[encryption])
    await bob.sync()
    await bob.join(room)

    assert (await alice.sync())["device_lists"]["changed"] == [bob.user_id]
    assert (await bob.sync())["device_lists"]["changed"] == [alice.user_id]
    await bob.leave(room)
    assert (await alice.sync())["device_lists"] == {"changed": [], "left": [bob.user_id]}
    assert (await bob.sync())["device_lists"] == {"changed": [], "left": [alice.user_id]}


async def test_the_counts_of_keys_are_always_told(alice: Client) -> None:
    """Every answer has the number of one-time keys and the unused fallback keys."""
    answer = await alice.sync()
    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 0}
    assert answer["device_unused_fallback_key_types"] == []
    keys = {f"signed_curve25519:{name}": {"key": name, "signatures": {}} for name in "AB"}
    body = {"one_time_keys": keys, "fallback_keys": {"signed_curve25519:C": {"key": "C", "fallback": True}}}
    (await alice.post("keys/upload", body)).ok()
    answer = await alice.sync()

    assert answer["device_one_time_keys_count"] == {"signed_curve25519": 2}
    assert answer["device_unused_fallback_key_types"] == ["signed_curve25519"]
