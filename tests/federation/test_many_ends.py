"""Rooms with more ends than one event follows: what is said in them means the same to all servers."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from chamberlain.config.database import Database
from chamberlain.matrix.events import Event
from tests.federation.test_accept import accept, enter, timeline
from tests.support.peer import Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path
from tests.support.wire import Wire

ENDS = 25
DEEP = 1_000


@pytest.fixture
async def near(wire: Wire, tmp_path: Path, database_url: str) -> Server:
    """The server `near.test`, once on each database."""
    return await wire.add("near.test", tmp_path, database=Database(url=database_url, synchronous="off"))


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A server made by hand."""
    return Peer.on(wire, "peer.test")


async def ask(peer: Peer, what: str, *parts: str, **query: str) -> Any:
    """Have near.test answer the peer."""
    target = "/".join(quote(part, safe="") for part in parts)
    asked = "".join(f"?{name}={quote(value, safe='')}" for name, value in query.items())
    answer = await peer.request("near.test", "GET", f"/_matrix/federation/v1/{what}/{target}{asked}")
    assert answer.status == 200, answer.body
    return orjson.loads(answer.body)


async def must_agree(peer: Peer, room: PeerRoom, event_ids: list[str]) -> None:
    """Put events of near.test into the peer's room; both hold that the room was the same before them."""
    for event_id in event_ids:
        pdu = (await ask(peer, "event", event_id))["pdus"][0]
        room.put(Event.from_dict(pdu, room.version))
        theirs = (await ask(peer, "state_ids", room.room_id, event_id=event_id))["pdu_ids"]
        assert sorted(theirs) == sorted(room.state_before(event_id).values())


def split(room: PeerRoom, sender: str) -> list[Event]:
    """Make many ends of the room's one; some of them set a state, and some of them the same one."""
    start = sorted(room.heads)
    forks = [room.say(sender, f"fork {n}", prev=start) for n in range(ENDS - 8)]
    for n in range(8):
        key = ("m.room.topic", "") if n < 4 else ("org.example.thing", f"{n}")
        forks.insert(2 * n + 1, room.send(key[0], sender, {"topic": f"{n}"}, key[1], prev=start))
    return forks


@pytest.mark.parametrize("version", ("1", "6", "12"))
async def test_what_follows_some_ends_goes_by_these(
    near: Server, alice: Client, peer: Peer, version: str
) -> None:
    """The state before an event is what its predecessors come to, not what the whole room does."""
    room = peer.room(version).furnish(users={peer.user(): 100, alice.user_id: 100})
    await enter(near, peer, room, alice)
    await accept(near, peer, split(room, peer.user()))

    sent = [await alice.say(room.room_id, f"tie {n}") for n in range(2)]
    sent.append(await alice.set_state(room.room_id, "m.room.name", {"name": "Tied"}))
    sent.append(await alice.say(room.room_id, "and on"))

    await must_agree(peer, room, sent)
    assert room.heads == {sent[-1]}
    answer = (await alice.get(path("rooms", room.room_id, "state"))).ok()
    now = {(event["type"], event["state_key"]): event["event_id"] for event in answer}
    assert now == room.state


async def test_all_that_is_said_at_once_is_said_once(near: Server, alice: Client, peer: Peer) -> None:
    """Each request makes one event, whether it can follow all ends or not; a repeated one makes none."""
    room = peer.room("10").furnish(users={peer.user(): 100, alice.user_id: 100})
    await enter(near, peer, room, alice)
    await alice.sync()
    await accept(near, peer, split(room, peer.user()))
    targets = [path("rooms", room.room_id, "send", "m.room.message", f"once{n}") for n in range(6)]
    body = {"msgtype": "m.text", "body": "hello"}

    answers = [await asyncio.gather(*(alice.put(target, body) for target in targets)) for _ in range(2)]

    first, second = ([answer.ok()["event_id"] for answer in each] for each in answers)
    assert first == second and len(set(first)) == len(targets)
    assert (await timeline(alice, room.room_id))[-len(targets) :] == first
    shown = (await alice.sync())["rooms"]["join"][room.room_id]["timeline"]["events"][-len(targets) :]
    assert [event["unsigned"].get("transaction_id") for event in shown] == [f"once{n}" for n in range(6)]
    await must_agree(peer, room, first)


async def test_ends_from_before_our_time_silence_nobody(near: Server, alice: Client, peer: Peer) -> None:
    """Where most ends know nothing of our users, these go on where they were."""
    room = peer.room("10").furnish()
    start = sorted(room.heads)
    await enter(near, peer, room, alice)
    sent: list[str] = []
    for turn in range(3):
        forks = [
            room.say(peer.user(), f"fork {turn} {n}", prev=start, depth=DEEP + turn) for n in range(ENDS)
        ]
        await accept(near, peer, forks)
        sent.append(await alice.say(room.room_id, f"still here {turn}"))

    await must_agree(peer, room, sent)
    assert [event_id for event_id in await timeline(alice, room.room_id) if event_id in sent] == sent


async def test_what_the_ends_do_not_allow_is_refused(near: Server, alice: Client, peer: Peer) -> None:
    """Who lost the power on one of the ends alone, be it among those that are followed or not, has lost it."""
    room = peer.room("10").furnish(users={peer.user(): 100, alice.user_id: 50})
    await enter(near, peer, room, alice)
    start = sorted(room.heads)
    await accept(near, peer, split(room, peer.user()))
    taken = room.send("m.room.power_levels", peer.user(), {"users": {peer.user(): 100}}, "", prev=start)
    await accept(near, peer, [taken])

    target = path("rooms", room.room_id, "state", "m.room.name", "")
    (await alice.put(target, {"name": "Mine"})).error(403, "M_FORBIDDEN")

    await alice.say(room.room_id, "Well then")
    (await alice.put(target, {"name": "Mine"})).error(403, "M_FORBIDDEN")
