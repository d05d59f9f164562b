"""Devices and what passes between them alone: device lists, to-device messages, encryption."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.devices.signing import Identity
from tests.e2e.synapse.conftest import newcomer_name
from tests.support.encrypted import Encrypted, make_encrypted_room
from tests.support.neighbors import Neighbor, Person, shared_room
from tests.support.server import path

Pair = tuple[Encrypted, Encrypted]


@pytest.fixture
async def people(pair: tuple[Neighbor, Neighbor], tmp_path: Path) -> AsyncIterator[Pair]:
    """Alice on one server and Bob on the other, with encryption."""
    alice, bob = (
        Encrypted(server.program.url, f"@{newcomer_name(name)}:{server.name}", tmp_path)
        for server, name in zip(pair, ("alice", "bob"), strict=True)
    )
    for person in (alice, bob):
        await person.register()
    yield alice, bob
    for person in (alice, bob):
        await person.client.close()


async def test_encrypted_messages_both_ways(people: Pair, version: str) -> None:
    """Each reads what the other wrote."""
    alice, bob = people
    room = await make_encrypted_room(alice, bob, version)
    await alice.say(room, "hello bob")
    await bob.turn_until(lambda: (alice.user_id, "hello bob") in bob.read, alice)
    await bob.say(room, "hello alice")
    await alice.turn_until(lambda: (bob.user_id, "hello alice") in alice.read, bob)
    assert alice.unread == bob.unread == []


async def test_a_new_device_is_written_to_and_a_gone_one_is_not(
    people: Pair, tmp_path: Path, version: str
) -> None:
    """A login on one server is seen on the other, whose next message the new device can read; so is a logout."""
    alice, bob = people
    room = await make_encrypted_room(alice, bob, version)
    await alice.say(room, "to one device")
    await bob.turn_until(lambda: (alice.user_id, "to one device") in bob.read, alice)

    other_folder = tmp_path / "other"
    other_folder.mkdir()
    other = Encrypted(bob.url, bob.user_id, other_folder)
    try:
        await other.log_in()
        await alice.turn_until(lambda: other.client.device_id in devices_of(bob, alice), other)
        await alice.say(room, "to both devices")
        for device in (bob, other):
            await device.turn_until(
                lambda device=device: (alice.user_id, "to both devices") in device.read, alice
            )
        gone = other.client.device_id
        await other.client.logout()
        await alice.turn_until(lambda: gone not in devices_of(bob, alice))
    finally:
        await other.client.close()


def devices_of(bob: Encrypted, alice: Encrypted) -> set[str]:
    """The ids of Bob's devices that Alice encrypts for."""
    return {device.device_id for device in alice.client.device_store.active_user_devices(bob.user_id)}


async def test_to_device_messages_reach_one_device_or_all(ada: Person, ben: Person) -> None:
    """Each once, in order, and only where they belong."""
    await shared_room(ada, ben)
    for sender, reader in ((ada, ben), (ben, ada)):
        for number, device in enumerate((reader.device_id, "*", reader.device_id)):
            messages = {"messages": {reader.user_id: {device: {"number": number}}}}
            (await sender.put(path("sendToDevice", "org.example.count", f"txn{number}"), messages)).ok()
        await reader.until(lambda reader=reader: len(reader.to_device) >= 3)
        told = [(event["sender"], event["content"]["number"]) for event in reader.to_device]
        assert told == [(sender.user_id, number) for number in range(3)]


async def test_a_device_that_comes_and_goes_is_told_to_the_other_server(ada: Person, ben: Person) -> None:
    """Who shares a room hears that the list changed, and finds the new device in it."""
    await shared_room(ada, ben)
    await ada.turn()
    ada.changed_devices.clear()
    second = await ben.server.login(ben.user_id)
    keys = {
        "device_keys": {
            "user_id": ben.user_id,
            "device_id": second.device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {f"curve25519:{second.device_id}": "A" * 43, f"ed25519:{second.device_id}": "B" * 43},
            "signatures": {ben.user_id: {f"ed25519:{second.device_id}": "C" * 86}},
        }
    }
    (await second.post("keys/upload", keys)).ok()
    await ada.until(lambda: ben.user_id in ada.changed_devices)

    async def listed() -> dict[str, object]:
        answer = (await ada.post("keys/query", {"device_keys": {ben.user_id: []}})).ok()
        return dict(answer["device_keys"].get(ben.user_id, {}))

    assert (await listed())[second.device_id]["keys"] == keys["device_keys"]["keys"]
    (await second.post("logout")).ok()
    while second.device_id in await listed():
        ada.changed_devices.clear()
        await ada.until(lambda: ben.user_id in ada.changed_devices)


async def test_cross_signing_is_seen_by_the_other_server(ada: Person, ben: Person) -> None:
    """The public keys of who shares a room, and what they signed; not the key with which they sign others."""
    await shared_room(ada, ben)
    identity = Identity(ben)
    (await ben.post("keys/upload", {"device_keys": identity.device_keys()})).ok()
    (await ben.post("keys/device_signing/upload", identity.cross_signing())).ok()
    signed = identity.by_self_signing(identity.device_keys())
    (await ben.post("keys/signatures/upload", {ben.user_id: {ben.device_id: signed}})).ok()

    async def shown() -> dict[str, Any]:
        return dict((await ada.post("keys/query", {"device_keys": {ben.user_id: []}})).ok())

    def is_signed(found: dict[str, Any]) -> bool:
        device = found["device_keys"].get(ben.user_id, {}).get(ben.device_id, {})
        return f"ed25519:{identity.self_signing}" in device.get("signatures", {}).get(ben.user_id, {})

    while not is_signed(found := await shown()):
        ada.changed_devices.clear()
        await ada.until(lambda: ben.user_id in ada.changed_devices)
    assert identity.master in found["master_keys"][ben.user_id]["keys"].values()
    assert identity.self_signing in found["self_signing_keys"][ben.user_id]["keys"].values()
    assert ben.user_id not in found.get("user_signing_keys", {})
