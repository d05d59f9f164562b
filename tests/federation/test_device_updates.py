"""Changed devices are told to other servers, and messages find their devices there."""

from typing import Any

import orjson
import pytest

from tests.api.devices.signing import Identity, devices_of
from tests.federation.test_device_lists import ALICE, BOB, EVE, Json, requests, upload
from tests.support.peer import Peer
from tests.support.server import Client, Server, path, until
from tests.support.sharing import seat
from tests.support.wire import Wire


@pytest.fixture
async def room(alice: Client, bob: Client) -> str:
    """A room of Alice's that Bob is joined to."""
    room_id = await alice.create_room(preset="public_chat")
    await join(bob, room_id)
    return room_id


async def join(user: Client, room_id: str) -> None:
    """Join a room through `near.test`."""
    (await user.post(path("join", room_id, server_name="near.test"))).ok()


def changed(answer: Json, section: str = "changed") -> Any:
    """Whose devices changed, or with whom no room is shared any more, in an answer of /sync."""
    return answer.get("device_lists", {}).get(section, [])


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """The server `peer.test`."""
    return Peer.on(wire, "peer.test")


class TestUpdates:
    """`m.device_list_update` and `m.signing_key_update`."""

    async def test_who_comes_and_who_goes(self, alice: Client, bob: Client) -> None:
        """With a join over federation clients begin to follow each other's devices, with a leave they cease to."""
        await upload(alice)
        await upload(bob)
        room_id = await alice.create_room(preset="public_chat")
        await alice.sync()
        await bob.sync()

        await join(bob, room_id)

        await alice.sync_until(lambda answer: BOB in changed(answer))
        await bob.sync_until(lambda answer: ALICE in changed(answer))
        assert list(await devices_of(alice, bob)) == [bob.device_id]
        assert list(await devices_of(bob, alice)) == [alice.device_id]
        await bob.leave(room_id)
        await alice.sync_until(lambda answer: BOB in changed(answer, "left"))
        await bob.sync_until(lambda answer: ALICE in changed(answer, "left"))

    async def test_what_changes_while_no_room_is_shared(
        self, wire: Wire, far: Server, alice: Client, bob: Client, room: str
    ) -> None:
        """It is found out when they meet again."""
        await upload(bob)
        await alice.sync_until(lambda answer: BOB in changed(answer))
        await devices_of(alice, bob)
        await bob.leave(room)
        await alice.sync_until(lambda answer: BOB in changed(answer, "left"))
        other = await far.login("bob")
        await upload_device(other, 2)

        await join(bob, room)
        await alice.sync_until(lambda answer: BOB in changed(answer))

        assert list(await devices_of(alice, bob)) == sorted([bob.device_id, other.device_id])

    async def test_what_was_missed_in_a_partition_is_heard_of_later(
        self, wire: Wire, far: Server, alice: Client, bob: Client, room: str
    ) -> None:
        """The server goes on sending until it gets through."""
        await upload(bob)
        await alice.sync_until(lambda answer: BOB in changed(answer))
        await devices_of(alice, bob)
        wire.part("far.test")
        other = await far.login("bob")
        await upload_device(other, 2)
        assert list(await devices_of(alice, bob)) == [bob.device_id]
        wire.heal()
        far.app.services.federation.remotes.availability.heard_of("near.test")

        await alice.sync_until(lambda answer: BOB in changed(answer))

        async def is_known() -> bool:
            return other.device_id in await devices_of(alice, bob)

        await until(is_known)

    async def test_a_change_is_heard_of_at_the_other_side(
        self, wire: Wire, far: Server, alice: Client, bob: Client, room: str
    ) -> None:
        """In /sync, and the keys that are asked for then are the new ones, without asking the other server."""
        await upload(bob)
        await alice.sync_until(lambda answer: BOB in changed(answer))
        await devices_of(alice, bob)
        asked = requests(wire, "user/devices")
        other = await far.login("bob")
        identity = await upload_device(other, 2)

        await alice.sync_until(lambda answer: BOB in changed(answer))

        async def is_known() -> bool:
            return other.device_id in await devices_of(alice, bob)

        await until(is_known)
        assert (await devices_of(alice, bob))[other.device_id] == identity.device_keys()
        assert requests(wire, "user/devices") == asked

        (await other.post("logout")).ok()

        async def is_gone() -> bool:
            return list(await devices_of(alice, bob)) == [bob.device_id]

        await until(is_gone)
        assert requests(wire, "user/devices") == asked

    async def test_new_cross_signing_keys_are_heard_of(
        self, wire: Wire, alice: Client, bob: Client, room: str
    ) -> None:
        """Also where devices stay what they were."""
        identity = await upload_device(bob, 1)
        await alice.sync_until(lambda answer: BOB in changed(answer))
        await devices_of(alice, bob)
        asked = requests(wire, "user/devices")
        (await bob.post("keys/device_signing/upload", identity.cross_signing())).ok()

        async def is_known() -> bool:
            answer = (await alice.post("keys/query", {"device_keys": {BOB: []}})).ok()
            return identity.master in str(answer["master_keys"].get(BOB))

        await until(is_known)
        assert requests(wire, "user/devices") == asked

    async def test_a_server_that_newly_shares_a_room_is_told(
        self, near: Server, alice: Client, peer: Peer
    ) -> None:
        """In a way that has it ask for the whole list."""
        await upload(alice)
        outsider = await near.register("outsider")
        room = await outsider.create_room(preset="public_chat")
        await seat(near, room, EVE)

        await alice.join(room)

        edu = await outgoing(near, peer, "m.device_list_update")
        assert (edu["user_id"], edu["device_id"], edu["prev_id"]) == (ALICE, alice.device_id, [])
        listed = await peer.request("near.test", "GET", f"/_matrix/federation/v1/user/devices/{ALICE}")
        assert orjson.loads(listed.body)["stream_id"] == edu["stream_id"]


class TestToDevice:
    """`/sendToDevice` to users of other servers."""

    async def test_messages_go_both_ways(self, far: Server, alice: Client, bob: Client) -> None:
        """To one device or all, once."""
        other = await far.login("bob")
        content = {"messages": {BOB: {bob.device_id: {"n": 1.5}}, ALICE: {"*": {"n": 2}}}}
        for _ in range(2):
            (await alice.put("sendToDevice/m.test/t1", content)).ok()
        (await bob.put("sendToDevice/m.test/t2", {"messages": {ALICE: {"*": {"n": 3}}}})).ok()
        (await alice.put("sendToDevice/m.test/t3", {"messages": {BOB: {"*": {"n": 4}}}})).ok()

        found: list[Any] = []
        while len(found) < 2:
            found += (await bob.sync(timeout_ms=5_000)).get("to_device", {}).get("events", [])
        assert [(event["sender"], event["content"]) for event in found] == [
            (ALICE, {"n": 1.5}),
            (ALICE, {"n": 4}),
        ]
        answer = await other.sync_until(lambda answer: "to_device" in answer)
        assert [event["content"] for event in answer["to_device"]["events"]] == [{"n": 4}]
        found = []
        while len(found) < 2:
            found += (await alice.sync(timeout_ms=5_000)).get("to_device", {}).get("events", [])
        assert sorted(event["content"]["n"] for event in found) == [2, 3]


async def upload_device(user: Client, seed: int) -> Identity:
    """Give the user's device keys."""
    identity = Identity(user, seed)
    (await user.post("keys/upload", {"device_keys": identity.device_keys()})).ok()
    return identity


async def outgoing(server: Server, peer: Peer, kind: str) -> Json:
    """The content of the first EDU of this type that the server sends to the peer."""
    found: list[Json] = []

    async def has_come() -> bool:
        found.extend(
            edu["content"]
            for transaction in peer.transactions
            for edu in transaction.get("edus", [])
            if edu["edu_type"] == kind
        )
        return bool(found)

    await until(has_come)
    return found[0]
