"""What other servers tell beside events reaches clients, as far as it is theirs to tell."""

from typing import Any

import pytest

from chamberlain.federation.inbound import receipts as incoming_receipts
from chamberlain.federation.inbound.typing import TIMEOUT_MS
from chamberlain.store import kinds, receipts
from chamberlain.store.tx import Change, Read
from chamberlain.sync.presence import UNHEARD_SECONDS
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.server import Client, Server
from tests.support.sharing import seat
from tests.support.wire import Wire

NEAR = "near.test"
EVE = "@eve:peer.test"
MALLORY = "@mallory:peer.test"


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """The server `peer.test`."""
    return Peer.on(wire, "peer.test")


@pytest.fixture
async def room(near: Server, alice: Client) -> str:
    """A public room of Alice's, to which Eve of `peer.test` is joined, and Mallory is not."""
    room_id = await alice.create_room(preset="public_chat")
    await seat(near, room_id, EVE)
    await alice.sync()
    return room_id


async def tell(peer: Peer, kind: str, *contents: Any) -> None:
    """Send EDUs of one type."""
    answer = await peer.send(NEAR, [], [{"edu_type": kind, "content": content} for content in contents])
    assert (answer.status, answer.body) == (200, b'{"pdus":{}}')


def ephemeral(answer: dict[str, Any], room_id: str, kind: str) -> Any:
    """The content of an ephemeral event in an answer of /sync."""
    events = answer.get("rooms", {}).get("join", {}).get(room_id, {}).get("ephemeral", {}).get("events", [])
    return next((event["content"] for event in events if event["type"] == kind), None)


class TestTyping:
    """m.typing."""

    async def test_users_in_the_room_type(self, alice: Client, peer: Peer, room: str) -> None:
        """And cease to."""
        await tell(peer, "m.typing", {"room_id": room, "user_id": EVE, "typing": True})
        assert ephemeral(await alice.sync(), room, "m.typing") == {"user_ids": [EVE]}
        await tell(peer, "m.typing", {"room_id": room, "user_id": EVE, "typing": False})
        assert ephemeral(await alice.sync(), room, "m.typing") == {"user_ids": []}

    async def test_nobody_types_for_ever(self, wire: Wire, peer: Peer, tmp_path: Any) -> None:
        """A server that falls silent leaves nobody typing."""
        clock = FakeClock()
        peer.now = clock.now
        server = await wire.add("clock.test", tmp_path, clock=clock)
        alice = await server.register("alice")
        room_id = await alice.create_room(preset="public_chat")
        await seat(server, room_id, EVE)
        content = {"room_id": room_id, "user_id": EVE, "typing": True}
        assert (
            await peer.send("clock.test", [], [{"edu_type": "m.typing", "content": content}])
        ).status == 200
        assert ephemeral(await alice.sync(), room_id, "m.typing") == {"user_ids": [EVE]}

        await clock.advance(TIMEOUT_MS / 1000 + 1)

        assert ephemeral(await alice.sync(), room_id, "m.typing") == {"user_ids": []}

    async def test_others_are_not_believed(self, alice: Client, bob: Client, peer: Peer, room: str) -> None:
        """Users of other servers, users who are not in the room, rooms that are not there, banned servers."""
        for user_id in (MALLORY, alice.user_id, bob.user_id, "@eve:peer.test:1", "eve"):
            await tell(peer, "m.typing", {"room_id": room, "user_id": user_id, "typing": True})
        await tell(peer, "m.typing", {"room_id": "!no:where", "user_id": EVE, "typing": True})
        await alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.test"]})
        await tell(peer, "m.typing", {"room_id": room, "user_id": EVE, "typing": True})

        assert ephemeral(await alice.sync(), room, "m.typing") is None


class TestReceipts:
    """m.receipt."""

    def receipt(self, room: str, event_id: str, user_id: str = EVE, **data: Any) -> dict[str, Any]:
        """The content of an EDU."""
        return {room: {"m.read": {user_id: {"event_ids": [event_id], "data": {"ts": 5, **data}}}}}

    async def test_users_have_read(self, alice: Client, peer: Peer, room: str) -> None:
        """Threaded and not; an older one moves nothing back."""
        first, second = await alice.say(room, "one"), await alice.say(room, "two")
        await tell(peer, "m.receipt", self.receipt(room, second), self.receipt(room, first))
        found = ephemeral(await alice.sync(), room, "m.receipt")
        assert found == {second: {"m.read": {EVE: {"ts": 5}}}}

        await tell(peer, "m.receipt", self.receipt(room, first, thread_id="main"))
        found = ephemeral(await alice.sync(), room, "m.receipt")
        assert found == {first: {"m.read": {EVE: {"ts": 5, "thread_id": "main"}}}}

    async def test_only_so_many_are_looked_at(
        self, alice: Client, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are written in one transaction, which is not to take long."""
        monkeypatch.setattr(incoming_receipts, "MAX_RECEIPTS", 1)
        first, second = await alice.say(room, "one"), await alice.say(room, "two")

        await tell(peer, "m.receipt", self.receipt(room, first), self.receipt(room, second))

        assert ephemeral(await alice.sync(), room, "m.receipt") == {first: {"m.read": {EVE: {"ts": 5}}}}

    async def test_others_are_not_believed(self, alice: Client, peer: Peer, room: str) -> None:
        """Users of other servers and users who are not in the room."""
        event_id = await alice.say(room, "one")
        await alice.sync()
        await tell(peer, "m.receipt", self.receipt(room, event_id, MALLORY))
        await tell(peer, "m.receipt", self.receipt(room, event_id, alice.user_id))
        await tell(peer, "m.receipt", self.receipt("!no:where", event_id))
        await tell(peer, "m.receipt", self.receipt(room, "$" + "x" * 43))
        await tell(peer, "m.receipt", self.receipt(room, event_id, thread_id=5))
        await tell(peer, "m.receipt", self.receipt(room, event_id, thread_id="nonsense"))

        assert ephemeral(await alice.sync(), room, "m.receipt") is None

    async def test_a_receipt_may_come_before_its_event(
        self, near: Server, alice: Client, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It stands there once the event has come."""
        event_id = await alice.say(room, "one")
        await alice.sync()
        with monkeypatch.context() as early:
            early.setattr(receipts, "find_position", _not_yet)
            await tell(peer, "m.receipt", self.receipt(room, event_id))
        assert ephemeral(await alice.sync(), room, "m.receipt") is None

        db = near.app.services.db
        db._told([Change(db.position, kinds.EVENT, room, event_id)])

        answer = await alice.sync_until(lambda answer: ephemeral(answer, room, "m.receipt"))
        assert ephemeral(answer, room, "m.receipt") == {event_id: {"m.read": {EVE: {"ts": 5}}}}

    async def test_an_event_may_come_while_its_receipt_is_looked_at(
        self, alice: Client, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Just after it was not found, and before anybody looks out for it."""
        event_id = await alice.say(room, "one")
        await alice.sync()
        find, looks = receipts.find_position, 0

        async def not_at_first(tx: Read, room_id: str, event_id: str) -> int | None:
            nonlocal looks
            looks += 1
            return None if looks == 1 else await find(tx, room_id, event_id)

        monkeypatch.setattr(receipts, "find_position", not_at_first)
        await tell(peer, "m.receipt", self.receipt(room, event_id))

        assert ephemeral(await alice.sync(), room, "m.receipt") == {event_id: {"m.read": {EVE: {"ts": 5}}}}


async def _not_yet(*_: Any) -> None:
    """There is no such event."""


class TestToDevice:
    """m.direct_to_device."""

    def content(self, messages: Any, message_id: str = "1", sender: str = EVE) -> dict[str, Any]:
        """The content of an EDU."""
        return {"sender": sender, "type": "m.test", "message_id": message_id, "messages": messages}

    async def test_messages_arrive_once(self, near: Server, alice: Client, peer: Peer) -> None:
        """At one device or at all; a repetition, in another transaction too, changes nothing."""
        other = await near.login("alice")
        await tell(peer, "m.direct_to_device", self.content({alice.user_id: {alice.device_id: {"n": 1}}}))
        await tell(peer, "m.direct_to_device", self.content({alice.user_id: {alice.device_id: {"n": 1}}}))
        await tell(peer, "m.direct_to_device", self.content({alice.user_id: {"*": {"n": 2}}}, "2"))

        expected = [{"type": "m.test", "sender": EVE, "content": {"n": number}} for number in (1, 2)]
        assert (await alice.sync())["to_device"]["events"] == expected
        assert (await other.sync())["to_device"]["events"] == expected[1:]

    async def test_only_our_devices_and_their_senders(self, alice: Client, bob: Client, peer: Peer) -> None:
        """Senders of other servers, and devices that are not here, are dropped; contents are objects."""
        mine = {alice.user_id: {alice.device_id: {"n": 1}}}
        await tell(peer, "m.direct_to_device", self.content(mine, "1", bob.user_id))
        await tell(peer, "m.direct_to_device", self.content({bob.user_id: {bob.device_id: {}}}, "2"))
        await tell(peer, "m.direct_to_device", self.content({alice.user_id: {alice.device_id: "text"}}, "3"))
        await tell(peer, "m.direct_to_device", self.content({alice.user_id: {"NONE": {}}}, "4"))

        assert "to_device" not in await alice.sync()
        assert "to_device" not in await bob.sync()


class TestPresence:
    """m.presence."""

    def push(self, state: str, user_id: str = EVE, **more: Any) -> dict[str, Any]:
        """The content of an EDU."""
        return {"push": [{"user_id": user_id, "presence": state, "last_active_ago": 1_000, **more}]}

    def seen(self, answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The presences of others in an answer of /sync."""
        events = answer.get("presence", {}).get("events", [])
        return {
            event["sender"]: event["content"] for event in events if not event["sender"].startswith("@alice")
        }

    async def test_those_who_share_a_room_see_it(
        self, near: Server, alice: Client, peer: Peer, room: str
    ) -> None:
        """In /sync and when they ask; others do not."""
        await tell(peer, "m.presence", self.push("online", status_msg="here", currently_active=True))

        shown = self.seen(await alice.sync())[EVE]
        assert (shown["presence"], shown["status_msg"], shown["currently_active"]) == ("online", "here", True)
        asked = (await alice.get(f"presence/{EVE}/status")).ok()
        assert asked["presence"] == "online" and asked["last_active_ago"] >= 1_000
        again = await near.login("alice")
        assert self.seen(await again.sync())[EVE]["presence"] == "online"
        carol = await near.register("carol")
        assert EVE not in self.seen(await carol.sync())
        (await carol.get(f"presence/{EVE}/status")).error(403, "M_FORBIDDEN")
        await tell(peer, "m.presence", self.push("offline"))
        assert self.seen(await alice.sync())[EVE]["presence"] == "offline"

    async def test_who_comes_later_sees_it_too(
        self, near: Server, alice: Client, peer: Peer, room: str
    ) -> None:
        """Whoever joins is told of those who are there, and nobody hears of one who has left."""
        await tell(peer, "m.presence", self.push("online"))
        carol = await near.register("carol")
        await carol.sync()
        await carol.join(room)
        assert self.seen(await carol.sync())[EVE]["presence"] == "online"

        await seat(near, room, EVE, "leave")
        await tell(peer, "m.presence", self.push("unavailable"))
        assert EVE not in self.seen(await carol.sync())
        (await carol.get(f"presence/{EVE}/status")).error(403, "M_FORBIDDEN")

    async def test_others_are_not_believed(self, alice: Client, bob: Client, peer: Peer, room: str) -> None:
        """Users of other servers, users with whom no room is shared, words that are no presence."""
        await tell(peer, "m.presence", self.push("online", MALLORY), self.push("online", bob.user_id))
        await tell(peer, "m.presence", self.push("busy"), {"push": 5}, {"push": [5, None, {}]})
        await tell(peer, "m.presence", self.push("online", last_active_ago=-5))

        assert self.seen(await alice.sync()) == {}

    async def test_it_expires(self, wire: Wire, peer: Peer, tmp_path: Any) -> None:
        """A server that falls silent leaves nobody online."""
        clock = FakeClock()
        peer.now = clock.now
        server = await wire.add("clock.test", tmp_path, clock=clock)
        alice = await server.register("alice")
        room_id = await alice.create_room(preset="public_chat")
        await seat(server, room_id, EVE)
        await alice.sync()
        edu = {"edu_type": "m.presence", "content": self.push("online")}
        assert (await peer.send("clock.test", [], [edu])).status == 200
        assert self.seen(await alice.sync())[EVE]["presence"] == "online"

        await clock.advance(UNHEARD_SECONDS / 2)
        edu["content"] = self.push("online", status_msg="still")
        assert (await peer.send("clock.test", [], [edu])).status == 200
        await clock.advance(UNHEARD_SECONDS * 0.75)
        assert self.seen(await alice.sync())[EVE]["presence"] == "online"
        await clock.advance(UNHEARD_SECONDS / 2)

        assert self.seen(await alice.sync())[EVE]["presence"] == "offline"
