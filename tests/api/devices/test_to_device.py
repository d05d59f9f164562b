"""Messages between devices."""

from typing import Any

from tests.support.server import Client, Server, path


async def waiting(user: Client) -> list[Any]:
    """The messages that wait for a device; they go on waiting."""
    answer = (await user.get("sync?timeout=0")).ok()
    events: list[Any] = answer.get("to_device", {}).get("events", [])
    return events


async def test_a_message_reaches_one_device_or_all(server: Server, alice: Client, bob: Client) -> None:
    """The device that is named gets it, `*` reaches every device; unknown recipients do no harm."""
    phone = await server.login("alice", device_id="PHONE")
    one = {
        "messages": {
            alice.user_id: {"PHONE": {"n": 1}, "NONE": {"n": 0}},
            "@none:example.org": {"*": {}},
            "@x:elsewhere.org": {"*": {}},
        }
    }
    (await bob.put(path("sendToDevice", "org.example/x", "1"), one)).ok()
    (await bob.put("sendToDevice/m.test/2", {"messages": {alice.user_id: {"*": {"n": 2}}}})).ok()

    first = {"type": "org.example/x", "sender": bob.user_id, "content": {"n": 1}}
    second = {"type": "m.test", "sender": bob.user_id, "content": {"n": 2}}
    assert await waiting(phone) == [first, second]
    assert await waiting(alice) == [second]
    assert await waiting(bob) == []


async def test_a_retry_is_not_delivered_twice(server: Server, alice: Client, bob: Client) -> None:
    """The same transaction of the same device counts once, after a restart too; of another device it is new."""
    other = await server.login("bob")
    body = {"messages": {alice.user_id: {alice.device_id: {}}}}
    for sender in (bob, bob, other):
        (await sender.put("sendToDevice/m.test/txn", body)).ok()
    assert len(await waiting(alice)) == 2

    again = await Server.start(server.app.services.config)
    try:
        fresh = Client(again, bob.token, bob.user_id, bob.device_id)
        (await fresh.put("sendToDevice/m.test/txn", body)).ok()
        assert len(await waiting(Client(again, alice.token))) == 2
    finally:
        await again.stop()


async def test_bad_messages_are_refused_whole(server: Server, alice: Client, bob: Client) -> None:
    """A content that is no object, a recipient that is no user id, and missing messages."""
    good = {alice.device_id: {}}
    for messages, errcode in (
        ({alice.user_id: good | {"X": 5}}, "M_BAD_JSON"),
        ({alice.user_id: good, "nonsense": {}}, "M_INVALID_PARAM"),
        ({alice.user_id: []}, "M_BAD_JSON"),
    ):
        (await bob.put("sendToDevice/m.test/1", {"messages": messages})).error(400, errcode)
    (await bob.put("sendToDevice/m.test/1", {})).error(400, "M_MISSING_PARAM")
    assert await waiting(alice) == []
