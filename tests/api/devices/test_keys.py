"""Uploading, querying and claiming keys."""

import asyncio

from chamberlain.rooms.stream_tokens import StreamToken
from tests.api.devices.signing import Identity, devices_of, one_time
from tests.support.server import Client, Server, path


async def test_uploaded_device_keys_are_shown_with_the_name_of_the_device(
    server: Server, alice: Client, bob: Client
) -> None:
    """Bob sees Alice's keys as she uploaded them, her device's name beside them, and a new name at once."""
    phone = await server.login("alice", device_id="PHONE", initial_device_display_name='a "phone"')
    keys = Identity(phone).device_keys(unsigned={"device_display_name": "a lie"})
    (await phone.post("keys/upload", {"device_keys": keys})).ok()
    del keys["unsigned"]

    shown = await devices_of(bob, alice)
    assert shown == {"PHONE": keys | {"unsigned": {"device_display_name": 'a "phone"'}}}
    (await alice.put("devices/PHONE", {"display_name": "new"})).ok()
    assert (await devices_of(bob, alice))["PHONE"]["unsigned"] == {"device_display_name": "new"}
    (await phone.post("keys/upload", {"device_keys": keys})).ok()
    assert (await devices_of(bob, alice))["PHONE"]["keys"] == keys["keys"]


async def test_a_query_can_name_devices(server: Server, alice: Client, bob: Client) -> None:
    """Only the named devices are shown; unknown ones are left out."""
    phone = await server.login("alice", device_id="PHONE")
    for device in (alice, phone):
        (await device.post("keys/upload", {"device_keys": Identity(device).device_keys()})).ok()
    answer = (await bob.post("keys/query", {"device_keys": {alice.user_id: ["PHONE", "NONE"]}})).ok()
    assert list(answer["device_keys"][alice.user_id]) == ["PHONE"]
    assert answer["failures"] == {}


async def test_keys_of_another_user_or_device_are_refused(alice: Client, bob: Client) -> None:
    """The ids in device keys must be those of whoever uploads."""
    keys = Identity(alice).device_keys()
    (await bob.post("keys/upload", {"device_keys": keys})).error(400, "M_INVALID_PARAM")
    other = keys | {"device_id": "OTHER"}
    (await alice.post("keys/upload", {"device_keys": other})).error(400, "M_INVALID_PARAM")
    (await alice.post("keys/upload", {"device_keys": {"user_id": 1}})).error(400, "M_INVALID_PARAM")
    (await alice.post("keys/upload", {"device_keys": keys | {"x": 1.5}})).error(400, "M_BAD_JSON")
    assert await devices_of(bob, alice) == {}


async def test_other_servers_and_nonsense_in_a_query(alice: Client) -> None:
    """Other servers are failures; what is no user id is an error; unknown users have no devices."""
    wanted = {"@x:elsewhere.org": [], "@unknown:example.org": []}
    answer = (await alice.post("keys/query", {"device_keys": wanted})).ok()
    assert list(answer["failures"]) == ["elsewhere.org"]
    assert answer["device_keys"] == {"@unknown:example.org": {}}
    (await alice.post("keys/query", {"device_keys": {"nonsense": []}})).error(400, "M_INVALID_PARAM")
    (await alice.post("keys/query", {"device_keys": {alice.user_id: "x"}})).error(400, "M_BAD_JSON")
    (await alice.post("keys/claim", {"one_time_keys": {"nonsense": {}}})).error(400, "M_INVALID_PARAM")
    claim = {"one_time_keys": {"@x:elsewhere.org": {"D": "signed_curve25519"}}}
    answer = (await alice.post("keys/claim", claim)).ok()
    assert (list(answer["failures"]), answer["one_time_keys"]) == (["elsewhere.org"], {})


async def test_one_time_keys_are_given_once_then_the_fallback(alice: Client, bob: Client) -> None:
    """Each claim gets another key; the fallback key comes last and stays."""
    fallback = one_time("f", fallback=True)
    counts = (
        await alice.post("keys/upload", {"one_time_keys": one_time("1", "2"), "fallback_keys": fallback})
    ).ok()
    assert counts == {"one_time_key_counts": {"signed_curve25519": 2}}
    assert (await alice.post("keys/upload")).ok() == counts

    wanted = {"one_time_keys": {alice.user_id: {alice.device_id: "signed_curve25519", "NONE": "x"}}}
    claims = await asyncio.gather(*(bob.post("keys/claim", wanted) for _ in range(4)))
    given = [claim.ok()["one_time_keys"][alice.user_id][alice.device_id] for claim in claims]
    names = sorted(name for keys in given for name in keys)
    assert names == [f"signed_curve25519:{key_id}" for key_id in ("1", "2", "f", "f")]
    assert {"signed_curve25519:f": fallback["signed_curve25519:f"]} in given
    assert (await alice.post("keys/upload")).ok() == {"one_time_key_counts": {}}


async def test_one_time_keys_keep_their_content(alice: Client) -> None:
    """Uploading a key again is harmless; the same id with another key is refused, with all that came along."""
    (await alice.post("keys/upload", {"one_time_keys": one_time("1")})).ok()
    counts = (await alice.post("keys/upload", {"one_time_keys": one_time("1", "2")})).ok()
    assert counts["one_time_key_counts"] == {"signed_curve25519": 2}
    clash = one_time("1", of="other") | one_time("3")
    (await alice.post("keys/upload", {"one_time_keys": clash})).error(400, "M_INVALID_PARAM")
    assert (await alice.post("keys/upload")).ok() == counts


async def test_badly_shaped_one_time_keys_are_refused(alice: Client) -> None:
    """A key needs an algorithm, an id and the shape of its algorithm."""
    for keys in (
        {"noid": "x"},
        {"signed_curve25519:1": "text"},
        {"signed_curve25519:1": {"key": 5}},
        {"other:1": 5},
        {"other:1": []},
        {":1": "x"},
        {"other:": "x"},
    ):
        (await alice.post("keys/upload", {"one_time_keys": keys})).error(400, "M_BAD_JSON")
    many = {f"curve25519:{n}": "k" for n in range(1_001)}
    (await alice.post("keys/upload", {"one_time_keys": many})).error(400, "M_INVALID_PARAM")
    (await alice.post("keys/upload", {"one_time_keys": {"curve25519:1": " text "}})).ok()


async def test_changes_of_keys_concern_users_in_a_common_room(
    server: Server, alice: Client, bob: Client
) -> None:
    """Bob hears of Alice's keys while they share a room, of Alice when she joins, and of her leaving."""
    carol = await server.register("carol")

    async def changes(since: str, who: Client = bob) -> dict[str, list[str]]:
        answer: dict[str, list[str]] = (
            await who.get(path("keys", "changes", **{"from": since, "to": now()}))
        ).ok()
        return answer

    def now() -> str:
        return str(StreamToken("e", server.app.services.db.position))

    start = now()
    encryption = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    room = await alice.create_room(preset="public_chat", initial_state=[encryption])
    await bob.join(room)
    assert alice.user_id in (await changes(start))["changed"]

    joined = now()
    (await alice.post("keys/upload", {"device_keys": Identity(alice).device_keys()})).ok()
    (await carol.post("keys/upload", {"device_keys": Identity(carol).device_keys()})).ok()
    assert await changes(joined) == {"changed": [alice.user_id], "left": []}
    assert await changes(now()) == {"changed": [], "left": []}

    before = now()
    await alice.leave(room)
    assert await changes(before) == {"changed": [], "left": [alice.user_id]}
    (await bob.get("keys/changes?from=x&to=y")).error(400, "M_INVALID_PARAM")
    (await bob.get("keys/changes?from=x")).error(400, "M_MISSING_PARAM")


async def test_keys_survive_a_restart(server: Server, alice: Client, bob: Client) -> None:
    """What was uploaded before is there, in the database and not only in memory."""
    (await alice.post("keys/upload", {"device_keys": Identity(alice).device_keys()})).ok()
    before = await devices_of(bob, alice)
    again = await Server.start(server.app.services.config)
    try:
        fresh = Client(again, bob.token, bob.user_id, bob.device_id)
        assert await devices_of(fresh, alice) == before
    finally:
        await again.stop()
