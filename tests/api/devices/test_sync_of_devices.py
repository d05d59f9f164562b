"""What `/sync` tells of devices, keys and messages."""

from typing import Any

from tests.api.devices.signing import Identity, one_time
from tests.support.server import Client, Server

Json = dict[str, Any]
ENCRYPTION = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


async def meet(alice: Client, bob: Client) -> str:
    """A room for the two, which both know of; its id."""
    room = await alice.create_room(preset="public_chat", initial_state=[ENCRYPTION])
    await bob.join(room)
    await alice.sync()
    await bob.sync()
    return room


async def changed(user: Client) -> list[str]:
    """Whose keys changed since the last sync."""
    lists: Json = (await user.sync()).get("device_lists", {})
    return list(lists.get("changed", []))


async def test_messages_come_until_the_next_sync_tells_that_they_came(
    server: Server, alice: Client, bob: Client
) -> None:
    """The same token again gives the same messages, the next token none; a restart changes nothing."""
    await alice.sync()
    since = alice.since
    for number in range(3):
        body = {"messages": {alice.user_id: {alice.device_id: {"n": number}}}}
        (await bob.put(f"sendToDevice/m.test/{number}", body)).ok()
    expected = [{"type": "m.test", "sender": bob.user_id, "content": {"n": n}} for n in range(3)]
    for _ in range(2):
        alice.since = since
        assert (await alice.sync())["to_device"]["events"] == expected
    assert "to_device" not in await alice.sync()
    alice.since = since
    assert "to_device" not in await alice.sync()


async def test_hundreds_of_messages_come_in_order_over_several_syncs(alice: Client, bob: Client) -> None:
    """None is lost and none comes twice when there are more than fit into one answer."""
    await alice.sync()
    for number in range(250):
        body = {"messages": {alice.user_id: {alice.device_id: {"n": number}}}}
        (await bob.put(f"sendToDevice/m.test/{number}", body)).ok()
    got: list[int] = []
    for _ in range(10):
        answer = await alice.sync()
        got += [event["content"]["n"] for event in answer.get("to_device", {}).get("events", [])]
    assert got == list(range(250))


async def test_the_counts_of_keys_follow_uploads_and_claims(alice: Client, bob: Client) -> None:
    """Uploading and claiming change the counts, the last claim uses the fallback key."""
    body = {"one_time_keys": one_time("1", "2"), "fallback_keys": one_time("f", fallback=True)}
    (await alice.post("keys/upload", body)).ok()
    claim = {"one_time_keys": {alice.user_id: {alice.device_id: "signed_curve25519"}}}
    for count, unused in ((2, ["signed_curve25519"]), (1, ["signed_curve25519"]), (0, ["signed_curve25519"])):
        answer = await alice.sync()
        assert answer["device_one_time_keys_count"].get("signed_curve25519", 0) == count
        assert answer["device_unused_fallback_key_types"] == unused
        (await bob.post("keys/claim", claim)).ok()
    assert (await alice.sync())["device_unused_fallback_key_types"] == []


async def test_whoever_shares_a_room_hears_of_each_change(server: Server, alice: Client, bob: Client) -> None:
    """Keys, a new device, its name, cross-signing keys, signatures and its end; a stranger hears nothing."""
    stranger = await server.register("stranger")
    await stranger.sync()
    await meet(alice, bob)
    identity = Identity(alice)

    (await alice.post("keys/upload", {"device_keys": identity.device_keys()})).ok()
    assert await changed(bob) == [alice.user_id]
    (await alice.post("keys/upload", {"device_keys": identity.device_keys()})).ok()
    assert await changed(bob) == []
    phone = await server.login("alice")
    assert await changed(bob) == [alice.user_id]
    (await alice.put(f"devices/{phone.device_id}", {"display_name": "phone"})).ok()
    assert await changed(bob) == [alice.user_id]
    (await alice.post("keys/device_signing/upload", identity.cross_signing())).ok()
    assert await changed(bob) == [alice.user_id]
    signed = identity.by_self_signing(identity.device_keys())
    (await alice.post("keys/signatures/upload", {alice.user_id: {alice.device_id: signed}})).ok()
    assert await changed(bob) == [alice.user_id]
    (await phone.post("logout")).ok()
    assert await changed(bob) == [alice.user_id]
    assert await changed(alice) == [alice.user_id]
    assert await changed(stranger) == []


async def test_a_verification_is_news_for_the_verifier_alone(
    server: Server, alice: Client, bob: Client
) -> None:
    """Alice's devices hear that Bob changed when she signed his master key; Bob does not."""
    await meet(alice, bob)
    alices, bobs = Identity(alice), Identity(bob, seed=3)
    (await alice.post("keys/device_signing/upload", alices.cross_signing())).ok()
    (await bob.post("keys/device_signing/upload", bobs.cross_signing())).ok()
    await alice.sync()
    await bob.sync()
    signed = alices.by_user_signing(bobs.key("master", bobs.master))
    (await alice.post("keys/signatures/upload", {bob.user_id: {bobs.master: signed}})).ok()
    assert await changed(alice) == [bob.user_id]
    assert await changed(bob) == []
