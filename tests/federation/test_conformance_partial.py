"""Rooms that came without their members: what happens before these are known."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.store.partial import is_said_to_be_in, list_partial
from tests.federation.test_accept import accept
from tests.federation.test_handshake_requests import make, refusal, send
from tests.federation.test_joining import join, members
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire

LAZY = orjson.dumps({"room": {"state": {"lazy_load_members": True}}}).decode()


class Lobby:
    """A room of `peer.test` with `@derek`, of whom nobody hears before `let_go` is set."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.derek = peer.user("derek")
        self.let_go = asyncio.Event()
        self.room: PeerRoom = peer.room("11").furnish(state_default=0)
        self.room.member(self.derek, "join")
        peer.omits_members = True
        peer.lies["state_ids"] = self._hold

    @property
    def room_id(self) -> str:
        """The room's id."""
        return self.room.room_id

    async def _hold(self, _: Asked, honest: Any) -> Any:
        await self.let_go.wait()
        return honest

    async def heard(self, user: Client, membership: str) -> None:
        """Return when the peer knows that a user of ours is this."""

        async def is_here() -> bool:
            member = self.room.state.get(("m.room.member", user.user_id))
            return member is not None and self.room.events[member].content["membership"] == membership

        await until(is_here)


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A hand-made server."""
    return Peer.on(wire, "peer.test")


@pytest.fixture
async def lobby(peer: Peer) -> AsyncIterator[Lobby]:
    """The room; nobody of ours is in it."""
    made = Lobby(peer)
    yield made
    made.let_go.set()


async def test_nobody_is_let_in_through_a_server_that_does_not_know_all(
    lobby: Lobby, alice: Client, peer: Peer
) -> None:
    """Other servers are sent away with their handshakes."""
    await join(alice, lobby.room_id)
    new = peer.user("new")
    for what in ("join", "knock", "leave"):
        assert refusal(await make(peer, what, lobby.room_id, new)) == (404, "M_NOT_FOUND")
    for what, version in (("join", "v2"), ("knock", "v1"), ("leave", "v2")):
        event = lobby.room.build("m.room.member", new, {"membership": what}, new)
        assert refusal(await send(peer, f"send_{what}", event, version)) == (404, "M_NOT_FOUND")


async def test_leaving_and_coming_back(lobby: Lobby, near: Server, alice: Client) -> None:
    """The room comes whole the second time, and nothing is left of what was said of it the first time."""
    await join(alice, lobby.room_id)
    await alice.leave(lobby.room_id)
    await lobby.heard(alice, "leave")
    await join(alice, lobby.room_id)
    assert (await members(alice, lobby.room_id))[lobby.derek] == "join"
    await alice.say(lobby.room_id, "back")
    db = near.app.services.db
    assert await db.read(list_partial) == []
    assert not await db.read(is_said_to_be_in, lobby.room_id, "peer.test")


async def test_others_come_while_the_first_goes(lobby: Lobby, near: Server, alice: Client) -> None:
    """A second user joins by themselves, a third one when the room was left by both."""
    bob, carl = await near.register("bob"), await near.register("carl")
    await join(alice, lobby.room_id)
    await join(bob, lobby.room_id)
    await alice.leave(lobby.room_id)
    await bob.say(lobby.room_id, "alone")
    await bob.leave(lobby.room_id)
    await lobby.heard(bob, "leave")
    await join(carl, lobby.room_id)
    assert (await members(carl, lobby.room_id))[lobby.derek] == "join"


@pytest.mark.parametrize("how", ["leave", "ban"])
async def test_being_thrown_out(lobby: Lobby, near: Server, alice: Client, peer: Peer, how: str) -> None:
    """By a member who is not known."""
    lobby.room.send("m.room.power_levels", peer.user(), {"users": {peer.user(): 100, lobby.derek: 100}}, "")
    await join(alice, lobby.room_id)
    await alice.sync()
    event = lobby.room.member(alice.user_id, how, lobby.derek)
    await accept(near, peer, [event])
    left = (await alice.sync())["rooms"]["leave"][lobby.room_id]
    assert left["timeline"]["events"][-1]["event_id"] == event.event_id
    assert (await alice.get("joined_rooms")).ok()["joined_rooms"] == []


async def test_what_unknown_members_do_is_seen(lobby: Lobby, alice: Client, peer: Peer) -> None:
    """They type and read; their server is said to be in the room."""
    await join(alice, lobby.room_id)
    said = await alice.say(lobby.room_id, "x")
    await alice.sync()
    typing = {"room_id": lobby.room_id, "user_id": lobby.derek, "typing": True}
    read = {lobby.room_id: {"m.read": {lobby.derek: {"event_ids": [said], "data": {"ts": 1}}}}}
    await peer.send(
        "near.test",
        [],
        [{"edu_type": "m.typing", "content": typing}, {"edu_type": "m.receipt", "content": read}],
    )
    seen: set[str] = set()
    while seen != {"m.typing", "m.receipt"}:
        block = (await alice.sync(timeout_ms=5_000))["rooms"]["join"][lobby.room_id]
        seen |= {event["type"] for event in block["ephemeral"]["events"]}


async def test_an_unknown_member_who_says_something_is_shown(
    lobby: Lobby, near: Server, alice: Client, peer: Peer
) -> None:
    """To clients that load members lazily, in later, first and gapped syncs, and in the history."""
    few = orjson.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}}).decode()
    late, fresh = await near.login("alice"), await near.login("alice")
    await join(alice, lobby.room_id)
    for user in (alice, late):
        await user.sync(filter=LAZY)
    said = [lobby.room.say(lobby.derek, "hi") for _ in range(2)]
    await accept(near, peer, said)
    for user, filter in ((alice, LAZY), (late, few), (fresh, few)):
        block = (await user.sync(filter=filter))["rooms"]["join"][lobby.room_id]
        assert block["timeline"]["events"][-1]["event_id"] == said[-1].event_id
        came = [event for event in block["state"]["events"] if event["type"] == "m.room.member"]
        assert lobby.derek in [event["state_key"] for event in came]
    target = path("rooms", lobby.room_id, "messages", dir="b", filter='{"lazy_load_members":true}')
    assert lobby.derek in [event["state_key"] for event in (await alice.get(target)).ok()["state"]]


async def test_keys_of_members_are_asked_for_when_they_are_known(lobby: Lobby, alice: Client) -> None:
    """Clients hear of all of them as of those who come into a room."""
    await alice.sync()
    await join(alice, lobby.room_id)
    assert "device_lists" not in await alice.sync()
    lobby.let_go.set()
    answer = await alice.sync_until(lambda answer: "device_lists" in answer)
    assert lobby.derek in answer["device_lists"]["changed"]


async def test_all_servers_that_were_named_are_talked_to(wire: Wire, lobby: Lobby, alice: Client) -> None:
    """They get what is said, and are asked for the members where the first one does not tell."""
    other = Peer.on(wire, "other.test")
    lobby.peer.keys[other.name] = other.key
    other.rooms[lobby.room.room_id] = lobby.room
    lobby.room.member(other.user(), "join")
    for name in ("state", "state_ids"):
        lobby.peer.lies[name] = lambda asked, honest: TransportAnswer(403, {}, b"{}")
    await join(alice, lobby.room_id)
    await alice.say(lobby.room_id, "to all")
    assert (await members(alice, lobby.room_id))[other.user()] == "join"

    async def has_come() -> bool:
        return any(
            pdu["content"].get("body") == "to all" for txn in other.transactions for pdu in txn["pdus"]
        )

    await until(has_come)


async def test_names_and_aliases_are_changed_meanwhile(lobby: Lobby, alice: Client) -> None:
    """That needs no members."""
    await join(alice, lobby.room_id)
    (await alice.put(path("profile", alice.user_id, "displayname"), {"displayname": "Al"})).ok()

    async def is_renamed() -> bool:
        member = await alice.state(lobby.room_id, "m.room.member", alice.user_id)
        return bool(member.ok()["displayname"] == "Al")

    await until(is_renamed)
    alias = path("directory", "room", "#here:near.test")
    (await alice.put(alias, {"room_id": lobby.room_id})).ok()
    assert (await alice.get(alias)).ok()["servers"] == ["near.test", "peer.test"]
    (await alice.delete(alias)).ok()
