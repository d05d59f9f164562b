"""Devices and keys across servers: asked for, claimed, told of, written to."""

import asyncio
from typing import Any

import orjson
import pytest

from chamberlain.devices import remote_keys
from chamberlain.store import remote_devices
from tests.api.devices.signing import Identity, devices_of, one_time
from tests.support.peer import Asked, Peer
from tests.support.server import Client, Server, until
from tests.support.sharing import seat
from tests.support.wire import Wire

Json = dict[str, Any]
ALICE, BOB = "@alice:near.test", "@bob:far.test"
EVE = "@eve:peer.test"


@pytest.fixture
async def share(near: Server, far: Server, alice: Client, bob: Client) -> None:
    """Alice and Bob are in a room; each server has a room of its own for that."""
    await seat(near, await alice.create_room(preset="public_chat"), bob.user_id)
    await seat(far, await bob.create_room(preset="public_chat"), alice.user_id)


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """The server `peer.test`."""
    return Peer.on(wire, "peer.test")


async def upload(user: Client, seed: int = 1) -> Identity:
    """Give the user's device keys and cross-signing keys."""
    identity = Identity(user, seed)
    keys = {"device_keys": identity.device_keys(), "one_time_keys": one_time("1", "2", of=user.device_id)}
    (await user.post("keys/upload", keys)).ok()
    (await user.post("keys/device_signing/upload", identity.cross_signing())).ok()
    return identity


def requests(wire: Wire, name: str) -> int:
    """How many requests with this in their path have passed."""
    return sum(f"/{name}" in passing.target for passing in wire.passed)


class TestQuery:
    """`/keys/query` for users of other servers."""

    async def test_keys_come_from_the_users_server(
        self, near: Server, alice: Client, bob: Client, share: None, wire: Wire
    ) -> None:
        """Devices and cross-signing keys but the user-signing key; they are kept."""
        identity = await upload(bob)

        answer = (await alice.post("keys/query", {"device_keys": {BOB: []}})).ok()

        assert answer["failures"] == {}
        assert answer["device_keys"][BOB] == {bob.device_id: identity.device_keys()}
        assert identity.master in str(answer["master_keys"][BOB])
        assert identity.self_signing in str(answer["self_signing_keys"][BOB])
        assert answer["user_signing_keys"] == {}

        async def is_kept() -> bool:
            return bool(await near.app.services.db.read(remote_devices.list_current, [BOB]))

        await until(is_kept)
        asked = requests(wire, "user/devices")
        assert (await alice.post("keys/query", {"device_keys": {BOB: []}})).ok() == answer
        named = (await alice.post("keys/query", {"device_keys": {BOB: ["NONE"]}})).ok()
        assert named["device_keys"][BOB] == {}
        assert requests(wire, "user/devices") == asked

    async def test_who_shares_no_room_is_asked_for_each_time(
        self, alice: Client, bob: Client, wire: Wire
    ) -> None:
        """Their server does not tell us of changes."""
        identity = await upload(bob)

        for _ in range(2):
            assert await devices_of(alice, bob) == {bob.device_id: identity.device_keys()}

        assert requests(wire, "user/keys/query") == 2
        assert requests(wire, "user/devices") == 0

    async def test_a_server_that_cannot_be_reached_is_named(
        self, alice: Client, bob: Client, share: None, wire: Wire
    ) -> None:
        """What is known is given all the same, that of other users too."""
        await upload(alice)
        wire.part("far.test")

        answer = (await alice.post("keys/query", {"device_keys": {BOB: [], ALICE: []}})).ok()

        assert list(answer["failures"]) == ["far.test"]
        assert list(answer["device_keys"]) == [ALICE]

    async def test_a_slow_server_costs_no_more_than_the_timeout(
        self, near: Server, alice: Client, peer: Peer
    ) -> None:
        """Its answer is kept when it comes."""
        slow = asyncio.Event()

        async def late(asked: Asked, answer: Any) -> Json:
            await slow.wait()
            return devices(1)

        peer.lies["user"] = late
        await seat(near, await alice.create_room(preset="public_chat"), EVE)

        answer = (await alice.post("keys/query", {"device_keys": {EVE: []}, "timeout": 0})).ok()

        assert list(answer["failures"]) == ["peer.test"]
        slow.set()

        async def is_kept() -> bool:
            return bool(await near.app.services.db.read(remote_devices.list_current, [EVE]))

        await until(is_kept)

    async def test_many_users_of_a_server_are_asked_for_in_one_go(
        self,
        near: Server,
        far: Server,
        alice: Client,
        bob: Client,
        wire: Wire,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Their lists follow, one after the other."""
        monkeypatch.setattr(remote_keys, "LISTS_AT_ONCE", 1)
        carol = await far.register("carol")
        room = await alice.create_room(preset="public_chat")
        for user in (bob, carol):
            await upload(user)
            await seat(near, room, user.user_id)
        wanted = {"device_keys": {BOB: [], carol.user_id: []}}

        answer = (await alice.post("keys/query", wanted)).ok()

        assert sorted(answer["device_keys"]) == [BOB, carol.user_id]
        assert requests(wire, "user/keys/query") == 1

        async def are_kept() -> bool:
            found = await near.app.services.db.read(remote_devices.list_current, [BOB, carol.user_id])
            return len(found) == 2

        await until(are_kept)
        assert (await alice.post("keys/query", wanted)).ok() == answer
        assert requests(wire, "user/keys/query") == 1

    async def test_what_a_server_makes_up_is_left_out(self, near: Server, alice: Client, peer: Peer) -> None:
        """Keys of other users or devices, wrong shapes, floods."""
        good = {"user_id": EVE, "device_id": "GOOD", "algorithms": [], "keys": {}, "signatures": {}}
        bad = [
            {"device_id": "OTHER", "keys": good},
            {"device_id": "USER", "keys": {**good, "device_id": "USER", "user_id": ALICE}},
            {"device_id": "SHAPE", "keys": {**good, "device_id": "SHAPE", "keys": [1]}},
            {"device_id": 5, "keys": good},
            "nonsense",
        ]
        peer.lies["user"] = lambda asked, answer: {
            "user_id": EVE,
            "stream_id": 4,
            "devices": [*bad, {"device_id": "GOOD", "keys": good, "device_display_name": "n" * 1_000}],
            "master_key": {"user_id": ALICE, "usage": ["master"], "keys": {}},
            "self_signing_key": {"user_id": EVE},
        }
        await seat(near, await alice.create_room(preset="public_chat"), EVE)

        answer = (await alice.post("keys/query", {"device_keys": {EVE: []}})).ok()

        assert list(answer["device_keys"][EVE]) == ["GOOD"]
        assert len(answer["device_keys"][EVE]["GOOD"]["unsigned"]["device_display_name"]) == 100
        assert answer["master_keys"] == {} and answer["self_signing_keys"] == {}

    async def test_answers_that_are_none_are_failures(self, near: Server, alice: Client, peer: Peer) -> None:
        """Whatever stands in them."""
        await seat(near, await alice.create_room(preset="public_chat"), EVE)
        for nonsense in ([], "x", {"stream_id": "5"}, {"stream_id": 2**63, "devices": []}, {"devices": {}}):
            peer.lies["user"] = lambda asked, answer, nonsense=nonsense: nonsense
            answer = (await alice.post("keys/query", {"device_keys": {EVE: []}})).ok()
            assert list(answer["failures"]) == ["peer.test"]
            answer = (await alice.post("keys/query", {"device_keys": {"@x:peer.test": []}})).ok()
            assert answer["failures"] or answer["device_keys"] == {"@x:peer.test": {}}


class TestServing:
    """What other servers get."""

    async def test_only_what_is_ours_and_public(
        self, near: Server, alice: Client, bob: Client, peer: Peer
    ) -> None:
        """No user-signing key, no names of devices, no users of other servers."""
        identity = await upload(alice)
        (await alice.put(f"devices/{alice.device_id}", {"display_name": "phone"})).ok()
        wanted = {"device_keys": {ALICE: [], BOB: [], "@none:near.test": []}}

        answer = await peer.request("near.test", "POST", "/_matrix/federation/v1/user/keys/query", wanted)

        found = orjson.loads(answer.body)
        assert found["device_keys"] == {
            ALICE: {alice.device_id: identity.device_keys()},
            "@none:near.test": {},
        }
        assert list(found["master_keys"]) == list(found["self_signing_keys"]) == [ALICE]
        assert "user_signing_keys" not in found
        listed = await peer.request("near.test", "GET", f"/_matrix/federation/v1/user/devices/{ALICE}")
        found = orjson.loads(listed.body)
        assert found["devices"] == [{"device_id": alice.device_id, "keys": identity.device_keys()}]
        assert identity.master in str(found["master_key"])
        assert (found["user_id"], "user_signing_key" in found) == (ALICE, False)
        for nobody in (BOB, "@none:near.test", "nonsense"):
            path = f"/_matrix/federation/v1/user/devices/{nobody}"
            assert (await peer.request("near.test", "GET", path)).status == 404


class TestClaim:
    """`/keys/claim` across servers."""

    async def test_each_key_is_given_once(self, alice: Client, bob: Client, share: None) -> None:
        """To whoever asks, in the order of the upload."""
        await upload(bob)
        wanted = {"one_time_keys": {BOB: {bob.device_id: "signed_curve25519"}}}

        found = [(await alice.post("keys/claim", wanted)).ok() for _ in range(3)]

        keys = [answer["one_time_keys"].get(BOB, {}).get(bob.device_id, {}) for answer in found]
        assert [list(key) for key in keys] == [["signed_curve25519:1"], ["signed_curve25519:2"], []]
        assert all(answer["failures"] == {} for answer in found)

    async def test_servers_that_fail_are_named(
        self, alice: Client, bob: Client, wire: Wire, peer: Peer
    ) -> None:
        """And what they give unasked is left out."""
        await upload(bob)
        key = {"key": "k", "signatures": {}}
        peer.lies["user"] = lambda asked, answer: {
            "one_time_keys": {
                EVE: {"E": {"other:1": key, "signed_curve25519:1": key, "signed_curve25519:2": key}, "X": {}},
                BOB: {bob.device_id: {"signed_curve25519:9": key}},
            }
        }
        wire.part("far.test")
        wanted = {BOB: {bob.device_id: "signed_curve25519"}, EVE: {"E": "signed_curve25519"}}

        answer = (await alice.post("keys/claim", {"one_time_keys": wanted})).ok()

        assert list(answer["failures"]) == ["far.test"]
        assert answer["one_time_keys"] == {EVE: {"E": {"signed_curve25519:1": key}}}


class TestUpdates:
    """`m.device_list_update` and `m.signing_key_update`."""

    async def test_an_update_with_a_gap_has_the_list_asked_for(
        self, near: Server, alice: Client, peer: Peer
    ) -> None:
        """And one that is told again has no effect."""
        await seat(near, await alice.create_room(preset="public_chat"), EVE)
        peer.lies["user"] = lambda asked, answer: devices(1, "A")
        assert list(await devices_known(alice)) == ["A"]
        peer.lies["user"] = lambda asked, answer: devices(5, "A", "B", "C")
        await tell(peer, "near.test", update(2, 1, "B"))
        assert list(await devices_known(alice)) == ["A", "B"]

        await tell(peer, "near.test", update(5, 4, "C"))

        async def is_current() -> bool:
            return bool(await near.app.services.db.read(remote_devices.list_current, [EVE]))

        await until(is_current)
        asked = len(peer.asked)
        assert list(await devices_known(alice)) == ["A", "B", "C"]
        await tell(peer, "near.test", update(5, 4, "C"))
        assert list(await devices_known(alice)) == ["A", "B", "C"]
        assert len(peer.asked) == asked

    async def test_others_are_not_believed(
        self, near: Server, alice: Client, bob: Client, peer: Peer
    ) -> None:
        """Users of other servers, users with whom no room is shared, and what is no update."""
        await alice.sync()
        wrong: list[Any] = [
            {**update(2, 1, "A"), "user_id": BOB},
            update(2, 1, "A"),
            {**update(2, 1, "A"), "stream_id": -1},
            {**update(2, 1, "A"), "prev_id": "x"},
            [],
        ]
        await tell(peer, "near.test", *wrong)
        await tell(peer, "near.test", {"user_id": BOB, "master_key": {}}, kind="m.signing_key_update")

        assert "device_lists" not in await alice.sync()


def devices(stream_id: int, *device_ids: str) -> Json:
    """What `/user/devices` gives for Eve."""
    listed = [{"device_id": device_id, "keys": device(device_id)} for device_id in device_ids]
    return {"user_id": EVE, "stream_id": stream_id, "devices": listed}


def device(device_id: str) -> Json:
    """The keys of a device of Eve."""
    return {"user_id": EVE, "device_id": device_id, "algorithms": [], "keys": {}, "signatures": {}}


def update(stream_id: int, prev_id: int, device_id: str) -> Json:
    """The content of an update of Eve's."""
    return {
        "user_id": EVE,
        "device_id": device_id,
        "stream_id": stream_id,
        "prev_id": [prev_id],
        "keys": device(device_id),
    }


async def tell(peer: Peer, destination: str, *contents: Any, kind: str = "m.device_list_update") -> None:
    """Send EDUs."""
    edus = [{"edu_type": kind, "content": content} for content in contents]
    assert (await peer.send(destination, [], edus)).status == 200


async def devices_known(asker: Client) -> Json:
    """The devices of Eve."""
    answer = (await asker.post("keys/query", {"device_keys": {EVE: []}})).ok()
    assert answer["failures"] == {}
    found: Json = answer["device_keys"][EVE]
    return found
