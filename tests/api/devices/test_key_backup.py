"""Backups of room keys, as the devices of one user share them."""

from typing import Any

from tests.support.server import Client, Server, path

Json = dict[str, Any]
ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM = "!room/1:example.org"


def key(index: int = 0, forwarded: int = 0, verified: bool = False) -> Json:
    """A key whose content names its quality."""
    data = {"ciphertext": f"{index}-{forwarded}-{verified}"}
    return {
        "first_message_index": index,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": data,
    }


def at(version: str, *parts: str) -> str:
    """The path of keys in a version."""
    return path("room_keys", "keys", *parts, version=version)


async def create(user: Client, **auth_data: Any) -> str:
    """Make a backup and give its version."""
    body = {"algorithm": ALGORITHM, "auth_data": auth_data}
    return str((await user.post("room_keys/version", body)).ok()["version"])


async def test_a_backup_is_seen_by_all_devices_of_its_user(
    server: Server, alice: Client, bob: Client
) -> None:
    """Another device reads it by its version and as the current one; another user has none."""
    (await alice.get("room_keys/version")).error(404, "M_NOT_FOUND")
    version = await create(alice, public_key="abc")
    other = await server.login("alice")
    current = (await other.get("room_keys/version")).ok()
    assert current == {
        "algorithm": ALGORITHM,
        "auth_data": {"public_key": "abc"},
        "count": 0,
        "etag": current["etag"],
        "version": version,
    }
    assert (await other.get(f"room_keys/version/{version}")).ok() == current
    (await bob.get("room_keys/version")).error(404, "M_NOT_FOUND")
    for odd in ("99", "x", "-1", "9" * 40):
        (await alice.get(f"room_keys/version/{odd}")).error(404, "M_NOT_FOUND")


async def test_only_auth_data_can_be_changed(alice: Client) -> None:
    """The algorithm and the version in the body must be those of the backup."""
    version = await create(alice, a=1)
    target = f"room_keys/version/{version}"
    new = {"algorithm": ALGORITHM, "auth_data": {"a": 2}}
    (await alice.put(target, new)).ok()
    (await alice.put(target, new | {"version": version})).ok()
    assert (await alice.get(target)).ok()["auth_data"] == {"a": 2}
    (await alice.put(target, new | {"version": "7"})).error(400, "M_INVALID_PARAM")
    (await alice.put(target, new | {"algorithm": "x"})).error(400, "M_INVALID_PARAM")
    (await alice.put("room_keys/version/99", new)).error(404, "M_NOT_FOUND")


async def test_keys_can_be_put_read_and_deleted_at_every_level(alice: Client, bob: Client) -> None:
    """One, those of a room, all: each write tells the new count and another etag."""
    version = await create(alice)
    one = (await alice.put(at(version, ROOM, "s1"), key())).ok()
    assert one["count"] == 1
    room = (await alice.put(at(version, ROOM), {"sessions": {"s1": key(), "s2": key()}})).ok()
    assert room["count"] == 2 and room["etag"] != one["etag"]
    everything = {"rooms": {ROOM: {"sessions": {"s2": key()}}, "!b:c": {"sessions": {"s3": key(5)}}}}
    (await alice.put(at(version), everything)).ok()

    sessions = {"s1": key(), "s2": key()}
    assert (await alice.get(at(version, ROOM, "s1"))).ok() == key()
    assert (await alice.get(at(version, ROOM))).ok() == {"sessions": sessions}
    assert (await alice.get(at(version))).ok() == {
        "rooms": {ROOM: {"sessions": sessions}, "!b:c": {"sessions": {"s3": key(5)}}}
    }
    assert (await alice.get("room_keys/version")).ok()["count"] == 3
    (await bob.get(at(version))).error(404, "M_NOT_FOUND")

    assert (await alice.delete(at(version, ROOM, "s1"))).ok()["count"] == 2
    (await alice.get(at(version, ROOM, "s1"))).error(404, "M_NOT_FOUND")
    assert (await alice.delete(at(version, ROOM, "s1"))).ok()["count"] == 2
    assert (await alice.delete(at(version, ROOM))).ok()["count"] == 1
    assert (await alice.get(at(version, ROOM))).ok() == {"sessions": {}}
    assert (await alice.delete(at(version))).ok()["count"] == 0
    assert (await alice.get(at(version))).ok() == {"rooms": {}}


async def test_the_better_key_stays(alice: Client) -> None:
    """Verified, then the lower index, then fewer forwards; a worse key changes neither key nor etag."""
    version = await create(alice)
    target = at(version, ROOM, "s")
    better = [key(9, 9), key(9, 8), key(8, 9), key(10, 10, True), key(3, 3, True)]
    etags = []
    for quality in better:
        etags.append((await alice.put(target, quality)).ok()["etag"])
        assert (await alice.get(target)).ok() == quality
    assert len(set(etags)) == len(etags)
    for worse in better:
        assert (await alice.put(target, worse)).ok() == {"etag": etags[-1], "count": 1}
    assert (await alice.get(target)).ok() == better[-1]


async def test_keys_go_into_the_current_version_alone(alice: Client) -> None:
    """Another version is refused, naming the current one; without any backup there is nothing to write to."""
    (await alice.put(at("1", ROOM, "s"), key())).error(404, "M_NOT_FOUND")
    old, new = await create(alice), await create(alice)
    body = {"rooms": {ROOM: {"sessions": {"s": key()}}}}
    for target, data in ((at(old), body), (at(old, ROOM, "s"), key()), (at("77", ROOM), {"sessions": {}})):
        error = (await alice.put(target, data)).error(403, "M_WRONG_ROOM_KEYS_VERSION")
        assert error["current_version"] == new
    assert (await alice.get(at(old))).ok() == {"rooms": {}}


async def test_a_deleted_version_is_gone_for_good(alice: Client) -> None:
    """Its keys are gone, deleting it again is harmless, the one before is current, its number is not reused."""
    old = await create(alice)
    (await alice.put(at(old, ROOM, "s"), key())).ok()
    new = await create(alice)
    (await alice.delete(f"room_keys/version/{new}")).ok()
    (await alice.delete(f"room_keys/version/{new}")).ok()
    (await alice.get(f"room_keys/version/{new}")).error(404, "M_NOT_FOUND")
    (await alice.get(at(new))).error(404, "M_NOT_FOUND")
    (await alice.delete("room_keys/version/99")).error(404, "M_NOT_FOUND")
    assert (await alice.get("room_keys/version")).ok()["version"] == old
    assert await create(alice) not in (old, new)


async def test_bad_backups_and_keys_are_refused(alice: Client) -> None:
    """Wrong types and missing parts are errors with an errcode."""
    (await alice.post("room_keys/version", {"algorithm": ALGORITHM})).error(400, "M_MISSING_PARAM")
    (await alice.post("room_keys/version", {"algorithm": 1, "auth_data": {}})).error(400, "M_BAD_JSON")
    version = await create(alice)
    target = at(version, ROOM, "s")
    for bad in (
        key() | {"first_message_index": "1"},
        key() | {"is_verified": 1},
        key() | {"session_data": 1},
    ):
        (await alice.put(target, bad)).error(400, "M_BAD_JSON")
    (await alice.put(target, {})).error(400, "M_MISSING_PARAM")
    (await alice.put("room_keys/keys", {"rooms": {}})).error(400, "M_MISSING_PARAM")
    (await alice.put(at(version), {"rooms": {ROOM: {}}})).error(400, "M_BAD_JSON")
