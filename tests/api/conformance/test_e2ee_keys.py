"""Keys, backups, cross-signing and to-device messages as other servers' suites check them."""

import asyncio
from typing import Any

from tests.api.conformance.table import check, proof
from tests.api.devices.signing import Identity, one_time
from tests.support.server import Client, Server

BACKUP = {
    "algorithm": "m.megolm_backup.v1",
    "auth_data": {"public_key": "abcdefg", "some": {"nested": [1.5]}},
}


def _session(first: int, forwarded: int, verified: bool, **data: Any) -> dict[str, Any]:
    return {
        "first_message_index": first,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"a": "b", **data},
    }


async def test_uploading_and_asking_for_keys(alice: Client, bob: Client) -> None:
    """Keys come back as uploaded, with the device's name; users without keys are an empty object, not left out."""
    keys = Identity(alice).device_keys()
    for uploaded in ({name: part for name, part in keys.items() if name != "signatures"}, keys):
        counts = (await alice.post("keys/upload", {"device_keys": uploaded})).ok()["one_time_key_counts"]
        assert not any(counts.values())
    counts = (
        await alice.post("keys/upload", {"one_time_keys": one_time("a", "b") | {"my_alg:1": "text"}})
    ).ok()
    assert counts == {"one_time_key_counts": {"signed_curve25519": 2, "my_alg": 1}}
    wanted = {alice.user_id: [], bob.user_id: [], "@nobody:example.org": []}
    for asker in (alice, bob):
        answer = (await asker.post("keys/query", {"device_keys": wanted, "timeout": 1})).ok()
        shown = answer["device_keys"][alice.user_id][alice.device_id]
        assert {name: shown[name] for name in keys} == keys
        assert answer["device_keys"][bob.user_id] == {} and answer["failures"] == {}
    for devices in ([alice.device_id], [alice.device_id, "UNKNOWN"], ["UNKNOWN"]):
        answer = (await bob.post("keys/query", {"device_keys": {alice.user_id: devices}})).ok()
        assert set(answer["device_keys"].get(alice.user_id, {})) == {alice.device_id} & set(devices)


async def test_keys_that_are_refused(server: Server, alice: Client, bob: Client) -> None:
    """Keys of others, and every wrong type, are a 400, and nothing of the request is kept."""
    keys = Identity(alice).device_keys()
    bad: list[Any] = [
        {"device_keys": keys | {"user_id": bob.user_id}},
        {"device_keys": keys | {"device_id": bob.device_id}},
        {"device_keys": keys | {"keys": "text"}},
        {"device_keys": keys | {"keys": {"ed25519:x": 5}}},
        {"device_keys": keys | {"algorithms": "a"}},
        {"device_keys": keys | {"signatures": "mine"}},
        {"device_keys": {}},
        {"device_keys": "text"},
        {"one_time_keys": ["a"]},
        {"one_time_keys": {"signed_curve25519:a": 5}},
        {"one_time_keys": {"no colon": {"key": "x"}}},
        {"one_time_keys": {"signed_curve25519:a": {}}},
        {"fallback_keys": {"signed_curve25519:a": [], "x": 1}},
    ]
    for body in bad:
        answer = await alice.post("keys/upload", body | {"one_time_keys": one_time("z")} | body)
        assert answer.status == 400 and answer.json["errcode"].startswith("M_"), body
    assert (await bob.post("keys/query", {"device_keys": {alice.user_id: []}})).ok()["device_keys"] == {
        alice.user_id: {}
    }
    await check(
        alice,
        [
            ("POST", "keys/query", {}, 400, "M_MISSING_PARAM"),
            ("POST", "keys/query", {"device_keys": {alice.user_id: "all"}}, 400, "M_BAD_JSON"),
            ("POST", "keys/query", {"device_keys": {"alice": []}}, 400, "M_INVALID_PARAM"),
            ("POST", "keys/query", {"device_keys": [alice.user_id]}, 400, "M_BAD_JSON"),
            ("POST", "keys/claim", {}, 400, "M_MISSING_PARAM"),
            ("POST", "keys/claim", {"one_time_keys": {alice.user_id: "x"}}, 400, "M_BAD_JSON"),
            (
                "POST",
                "keys/claim",
                {"one_time_keys": {"alice": {"D": "signed_curve25519"}}},
                400,
                "M_INVALID_PARAM",
            ),
            ("GET", "keys/changes", None, 400, "M_MISSING_PARAM"),
            ("GET", "keys/changes?from=x&to=y", None, 400, "M_INVALID_PARAM"),
        ],
    )


async def test_claiming_in_order_and_only_once(server: Server, alice: Client, bob: Client) -> None:
    """Keys come in the order of their upload, each once however many ask, the fallback key last, unused until then."""
    for key_id, key in one_time(*"54321").items():
        (await alice.post("keys/upload", {"one_time_keys": {key_id: key}})).ok()
    fallback = {"signed_curve25519:fb": {"key": "kfb", "fallback": True, "signatures": {}}}
    (await alice.post("keys/upload", {"fallback_keys": fallback})).ok()
    (await alice.post("keys/upload", {"one_time_keys": one_time("5")})).ok()
    answer = await alice.sync()
    assert answer["device_one_time_keys_count"]["signed_curve25519"] == 5
    assert answer["device_unused_fallback_key_types"] == ["signed_curve25519"]
    wanted = {
        "one_time_keys": {alice.user_id: {alice.device_id: "signed_curve25519", "GONE": "signed_curve25519"}}
    }

    async def claim() -> str:
        given = (await bob.post("keys/claim", wanted)).ok()
        assert given["failures"] == {}
        (name,) = given["one_time_keys"][alice.user_id][alice.device_id]
        return str(name).partition(":")[2]

    assert [await claim(), await claim()] == ["5", "4"]
    rest = await asyncio.gather(*(claim() for _ in range(5)))
    assert sorted(rest) == ["1", "2", "3", "fb", "fb"]
    answer = await alice.sync()
    assert answer["device_one_time_keys_count"]["signed_curve25519"] == 0
    assert answer["device_unused_fallback_key_types"] == []
    other = {"one_time_keys": {alice.user_id: {alice.device_id: "unknown_algorithm"}}}
    assert (await bob.post("keys/claim", other)).ok()["one_time_keys"] == {}


async def test_a_backup_keeps_the_better_key(alice: Client) -> None:
    """Verified beats unverified, then the lower first index, then the fewer forwards; a worse one changes nothing."""
    (await alice.get("room_keys/version")).error(404, "M_NOT_FOUND")
    version = (await alice.post("room_keys/version", BACKUP)).ok()["version"]
    assert isinstance(version, str)
    one = f"room_keys/keys/!r:example.org/sid?version={version}"
    stored = _session(10, 10, False)
    assert (await alice.put(one, stored)).ok()["count"] == 1
    for change, wins in (
        (_session(11, 0, False), False),
        (_session(10, 11, False), False),
        (_session(10, 10, False, again=True), False),
        (_session(10, 9, False), True),
        (_session(9, 20, False), True),
        (_session(50, 50, True), True),
        (_session(1, 1, False), False),
        (_session(49, 60, True), True),
    ):
        (await alice.put(one, change)).ok()
        stored = change if wins else stored
        assert (await alice.get(one)).ok() == stored, change
    shown = (await alice.get(f"room_keys/version/{version}")).ok()
    assert (shown["count"], shown["version"], shown["auth_data"]) == (1, version, BACKUP["auth_data"])
    assert (await alice.get(f"room_keys/keys?version={version}")).ok() == {
        "rooms": {"!r:example.org": {"sessions": {"sid": stored}}}
    }
    assert (await alice.get(f"room_keys/keys/!other:example.org?version={version}")).ok() == {"sessions": {}}


async def test_backups_that_are_refused(alice: Client, bob: Client) -> None:
    """Unknown and foreign versions, missing parameters and wrong shapes have their errcodes."""
    version = (await alice.post("room_keys/version", BACKUP)).ok()["version"]
    second = (await alice.post("room_keys/version", BACKUP)).ok()["version"]
    keys = {"rooms": {"!r:example.org": {"sessions": {"s": _session(0, 0, True)}}}}
    stale = await alice.put(f"room_keys/keys?version={version}", keys)
    assert stale.error(403, "M_WRONG_ROOM_KEYS_VERSION")["current_version"] == second
    await check(
        alice,
        [
            ("GET", "room_keys/version/999", None, 404, "M_NOT_FOUND"),
            ("GET", "room_keys/version/bogus", None, 404, "M_NOT_FOUND"),
            ("PUT", "room_keys/version/999", BACKUP, 404, "M_NOT_FOUND"),
            ("DELETE", "room_keys/version/999", None, 404, "M_NOT_FOUND"),
            ("POST", "room_keys/version", {"algorithm": "x"}, 400, "M_MISSING_PARAM"),
            ("POST", "room_keys/version", {"algorithm": 5, "auth_data": {}}, 400, "M_BAD_JSON"),
            ("PUT", f"room_keys/version/{second}", {**BACKUP, "algorithm": "x"}, 400, "M_INVALID_PARAM"),
            ("PUT", f"room_keys/version/{second}", {**BACKUP, "version": version}, 400, "M_INVALID_PARAM"),
            ("PUT", "room_keys/keys", keys, 400, "M_MISSING_PARAM"),
            ("GET", "room_keys/keys", None, 400, "M_MISSING_PARAM"),
            ("GET", "room_keys/keys?version=999", None, 404, "M_NOT_FOUND"),
            ("GET", f"room_keys/keys/!r:example.org/none?version={second}", None, 404, "M_NOT_FOUND"),
            ("PUT", f"room_keys/keys?version={second}", {"rooms": []}, 400, "M_BAD_JSON"),
            ("PUT", f"room_keys/keys/!r:x/s?version={second}", {}, 400, "M_MISSING_PARAM"),
        ],
    )
    (await bob.get(f"room_keys/version/{second}")).error(404, "M_NOT_FOUND")
    (await bob.get(f"room_keys/keys?version={second}")).error(404, "M_NOT_FOUND")


async def test_cross_signing_needs_a_proof_the_second_time(alice: Client) -> None:
    """The first keys, and the same again, need none; others do; a self-signing key alone needs its master key."""
    first, second = Identity(alice), Identity(alice, seed=9)
    upload = "keys/device_signing/upload"
    alone = {"self_signing_key": first.cross_signing()["self_signing_key"]}
    assert (await alice.post(upload, alone)).status == 400
    for _ in range(2):
        assert (await alice.post(upload, first.cross_signing())).ok() == {}
    asked = await alice.post(upload, second.cross_signing())
    assert asked.status == 401 and {"stages": ["m.login.password"]} in asked.json["flows"]
    wrong = second.cross_signing() | {"auth": proof("alice", "wrong", asked.json["session"])}
    (await alice.post(upload, wrong)).error(401, "M_FORBIDDEN")
    right = second.cross_signing() | {"auth": proof("alice", session=asked.json["session"])}
    assert (await alice.post(upload, right)).ok() == {}
    keys = (await alice.post("keys/query", {"device_keys": {alice.user_id: []}})).ok()
    assert keys["master_keys"][alice.user_id]["keys"] == {f"ed25519:{second.master}": second.master}


async def test_messages_to_devices(server: Server, alice: Client, bob: Client) -> None:
    """Delivered once each, in order, to the named device or all; the sender is not to be forged; junk is refused."""
    phone = await server.login("bob")
    for client in (bob, phone):
        await client.sync()
    for number in range(3):
        body = {"messages": {bob.user_id: {bob.device_id: {"n": number, "sender": "@forged:example.org"}}}}
        for _ in range(2):
            assert (await alice.put(f"sendToDevice/m.test/t{number}", body)).ok() == {}
    everyone = {"messages": {bob.user_id: {"*": {"n": "all"}}, "@nobody:example.org": {"*": {}}}}
    (await alice.put("sendToDevice/m.test/all", everyone)).ok()
    got = (await bob.sync())["to_device"]["events"]
    assert [event["content"]["n"] for event in got] == [0, 1, 2, "all"]
    assert {(event["sender"], event["type"], len(event)) for event in got} == {(alice.user_id, "m.test", 3)}
    assert [event["content"]["n"] for event in (await phone.sync())["to_device"]["events"]] == ["all"]
    for client in (bob, phone):
        assert "to_device" not in await client.sync()
    await check(
        alice,
        [
            ("PUT", "sendToDevice/m.test/x1", {}, 400, "M_MISSING_PARAM"),
            ("PUT", "sendToDevice/m.test/x2", {"messages": []}, 400, "M_BAD_JSON"),
            ("PUT", "sendToDevice/m.test/x3", {"messages": {bob.user_id: []}}, 400, "M_BAD_JSON"),
            ("PUT", "sendToDevice/m.test/x4", {"messages": {bob.user_id: {"D": "x"}}}, 400, "M_BAD_JSON"),
            ("PUT", "sendToDevice/m.test/x5", {"messages": {"bob": {"D": {}}}}, 400, "M_INVALID_PARAM"),
        ],
    )
