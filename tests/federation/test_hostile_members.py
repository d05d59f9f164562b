"""A server that lets a user of ours in without telling the members, and lies about them afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from tests.support.clock import FakeClock
from tests.support.peer import Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire

MALLORY = "@mallory:evil.test"
LAZY = 'sync?filter={"room":{"state":{"lazy_load_members":true}}}'


class Lobby:
    """A room of `evil.test` with many members, of whom alice of `near.test` was told none when she joined."""

    def __init__(self, clock: FakeClock, alice: Client, peer: Peer, room: PeerRoom) -> None:
        self.clock = clock
        self.alice = alice
        self.peer = peer
        self.room = room

    async def enter(self) -> None:
        """Have alice join."""
        target = f"{path('join', self.room.room_id)}?server_name=evil.test&via=evil.test"
        (await self.alice.post(target)).ok()

    async def members(self) -> set[str]:
        """Whom alice sees in the room."""
        answer = (await self.alice.get(path("rooms", self.room.room_id, "joined_members"))).ok()
        return set(answer["joined"])

    async def are_known(self) -> bool:
        """Whether the members have come, after some time."""
        await self.clock.leap(1000)
        return MALLORY in await self.members()


@pytest.fixture
async def lobby(
    wire: Wire, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Lobby]:
    """Nobody is in yet."""
    monkeypatch.setattr("chamberlain.rooms.reading.MEMBERS_SECONDS", 0.01)
    near: Server = await wire.add("near.test", tmp_path, clock=clock)
    peer = Peer.on(wire, "evil.test", now=clock.now)
    peer.omits_members = True
    room = peer.room("10").furnish()
    for number in range(5):
        room.member(peer.user(f"member{number}"), "join")
    room.member(MALLORY, "join")
    yield Lobby(clock, await near.register("alice"), peer, room)


def raw(body: bytes, status: int = 200) -> TransportAnswer:
    """An answer of these bytes."""
    return TransportAnswer(status, {"content-type": "application/json"}, body)


NONSENSE: dict[str, Any] = {
    "no JSON": raw(b"<html>"),
    "500": raw(b"{}", 500),
    "403": raw(b'{"errcode":"M_FORBIDDEN"}', 403),
    "a list": [],
    "empty": {"pdu_ids": [], "auth_chain_ids": [], "pdus": [], "auth_chain": []},
    "strings": {"pdu_ids": "x", "auth_chain_ids": "x", "pdus": "x", "auth_chain": "x"},
    "ids that nobody has": {"pdu_ids": [f"${number:043}" for number in range(300)], "auth_chain_ids": []},
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
async def test_members_that_do_not_come(lobby: Lobby, answer: Any) -> None:
    """Alice can use the room meanwhile; they are asked for again, and come when the server is honest at last."""
    for name in ("state_ids", "state", "event"):
        lobby.peer.lies[name] = lambda asked, honest: answer
    await lobby.enter()

    said = await lobby.alice.say(lobby.room.room_id, "is anybody here?")
    synced = (await lobby.alice.get(LAZY)).ok()
    assert said in str(synced["rooms"]["join"][lobby.room.room_id])
    assert (await lobby.alice.get("sync")).status == 200
    assert "@alice:near.test" in await lobby.members()

    lobby.peer.lies.clear()
    await until(lobby.are_known)


async def test_an_honest_server(lobby: Lobby) -> None:
    """All members are there after a while."""
    await lobby.enter()

    await until(lobby.are_known)
    assert len(await lobby.members()) == 8


async def test_what_is_slipped_in_with_the_members(lobby: Lobby) -> None:
    """What was known when alice joined stays as it was, and what is not allowed is not believed."""
    room = lobby.room
    await lobby.enter()
    (join,) = [event for event in room.events.values() if event.sender == "@alice:near.test"]
    before = room.state_before(join.event_id)
    taken = room.build("m.room.power_levels", MALLORY, {"users": {MALLORY: 100}}, "", prev=join.prev_events)
    topic = room.build("m.room.topic", MALLORY, {"topic": "taken"}, "", prev=join.prev_events)
    ban = room.build(
        "m.room.member", room.creator, {"membership": "ban"}, "@alice:near.test", prev=join.prev_events
    )
    for event in (taken, topic, ban):
        room.put(event, rejected=True)
    told = before | {event.key: event.event_id for event in (taken, topic, ban) if event.key is not None}
    lobby.peer.lies["state_ids"] = lambda asked, honest: {
        "pdu_ids": list(told.values()),
        "auth_chain_ids": sorted(room.auth_chain(told.values())),
    }
    lobby.peer.lies["state"] = lambda asked, honest: {
        "pdus": [orjson.Fragment(room.events[found].pdu) for found in told.values()],
        "auth_chain": [orjson.Fragment(room.events[found].pdu) for found in room.auth_chain(told.values())],
    }

    await until(lobby.are_known)

    assert "@alice:near.test" in await lobby.members()
    assert (await lobby.alice.state(room.room_id, "m.room.topic")).status == 404
    power = (await lobby.alice.state(room.room_id, "m.room.power_levels")).ok()
    assert MALLORY not in power["users"]
    await lobby.alice.say(room.room_id, "still here")
