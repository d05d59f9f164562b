"""Devices as their owner and others see them."""

from tests.support.server import Client, Server, path

PASSWORD = "correct horse battery"


def proof(user: Client, session: str) -> dict[str, object]:
    """The password of a user, for a session of user-interactive authentication."""
    identifier = {"type": "m.id.user", "user": user.user_id}
    return {"type": "m.login.password", "identifier": identifier, "password": PASSWORD, "session": session}


async def test_a_device_can_be_looked_at_and_renamed(server: Server, alice: Client, bob: Client) -> None:
    """The list names each device; a new name is shown; a long one and other users' devices are refused."""
    phone = await server.login("alice", initial_device_display_name="phone", device_id="PHONE")
    devices = (await alice.get("devices")).ok()["devices"]
    assert {device["device_id"] for device in devices} == {alice.device_id, "PHONE"}
    assert next(d for d in devices if d["device_id"] == "PHONE")["display_name"] == "phone"

    nameless = await server.login("alice", device_id="NAMELESS")
    (await nameless.get("account/whoami")).ok()
    unnamed = (await alice.get("devices/NAMELESS")).ok()
    assert unnamed.keys() == {"device_id", "display_name", "last_seen_ip", "last_seen_ts"}
    assert unnamed["display_name"] is None
    assert unnamed["last_seen_ip"] == "127.0.0.1" and unnamed["last_seen_ts"] > 0

    (await alice.put("devices/PHONE", {"display_name": "old phone"})).ok()
    (await alice.put("devices/PHONE", {})).ok()
    assert (await phone.get("devices/PHONE")).ok()["display_name"] == "old phone"

    (await alice.put("devices/PHONE", {"display_name": "x" * 101})).error(400, "M_INVALID_PARAM")
    (await bob.get("devices/PHONE")).error(404, "M_NOT_FOUND")
    (await bob.put("devices/PHONE", {"display_name": "mine"})).error(404, "M_NOT_FOUND")
    (await alice.put("devices/NONE", {})).error(404, "M_NOT_FOUND")


async def test_deleting_a_device_needs_the_password_and_ends_its_tokens(
    server: Server, alice: Client
) -> None:
    """Without proof nothing happens; with it the device is gone and its token dead; again is harmless."""
    phone = await server.login("alice", device_id="PHONE")
    challenge = await alice.delete("devices/PHONE", {})
    assert challenge.status == 401
    (await phone.get("account/whoami")).ok()

    (await alice.delete("devices/PHONE", {"auth": proof(alice, challenge.json["session"])})).ok()
    (await phone.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    (await alice.get("devices/PHONE")).error(404, "M_NOT_FOUND")
    again = await alice.delete("devices/PHONE", {})
    (await alice.delete("devices/PHONE", {"auth": proof(alice, again.json["session"])})).ok()


async def test_many_devices_can_be_deleted_at_once(server: Server, alice: Client) -> None:
    """Unknown ids among them do no harm."""
    first, second = await server.login("alice"), await server.login("alice")
    wanted = [first.device_id, second.device_id, "unknown"]
    challenge = await alice.post("delete_devices", {"devices": wanted})
    assert challenge.status == 401
    body = {"devices": wanted, "auth": proof(alice, challenge.json["session"])}
    (await alice.post("delete_devices", body)).ok()
    (await first.get("account/whoami")).error(401, "M_UNKNOWN_TOKEN")
    assert [d["device_id"] for d in (await alice.get("devices")).ok()["devices"]] == [alice.device_id]


async def test_deleting_a_device_takes_its_keys_with_it(server: Server, alice: Client, bob: Client) -> None:
    """Others do not find keys of a device that is gone."""
    phone = await server.login("alice", device_id="PHONE")
    keys = {
        "user_id": alice.user_id,
        "device_id": "PHONE",
        "algorithms": [],
        "keys": {"ed25519:PHONE": "key"},
        "signatures": {},
    }
    (await phone.post("keys/upload", {"device_keys": keys})).ok()
    query = {"device_keys": {alice.user_id: []}}
    assert "PHONE" in (await bob.post("keys/query", query)).ok()["device_keys"][alice.user_id]

    challenge = await alice.delete(path("devices", "PHONE"), {})
    (await alice.delete("devices/PHONE", {"auth": proof(alice, challenge.json["session"])})).ok()
    assert (await bob.post("keys/query", query)).ok()["device_keys"] == {alice.user_id: {}}
