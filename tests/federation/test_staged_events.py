"""Events of other servers, from the transaction that brings them to the clients that see them."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.matrix.events import Event
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire

NEAR = "near.test"


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """The server `peer.test`."""
    return Peer.on(wire, "peer.test")


async def enter(user: Client, peer: Peer) -> PeerRoom:
    """Have a user join a new room of the peer."""
    room = peer.room().furnish()
    (await user.post(path("join", room.room_id, server_name="peer.test"))).ok()
    return room


async def sees(user: Client, event: Event) -> bool:
    """Whether the user has the event in the timeline of its room."""
    chunk = (await user.get(path("rooms", event.room_id, "messages", dir="b", limit=20))).ok()["chunk"]
    return event.event_id in [seen["event_id"] for seen in chunk]


async def test_a_transaction_reaches_clients(alice: Client, peer: Peer, near: Server) -> None:
    """Its events, and the receipt that stands at one of them, though it is read before the event is."""
    room = await enter(alice, peer)
    await alice.sync()
    events = [room.say(peer.user(), str(number)) for number in range(3)]
    receipt = {
        room.room_id: {"m.read": {peer.user(): {"event_ids": [events[2].event_id], "data": {"ts": 5}}}}
    }

    answer = await peer.send(NEAR, events, [{"edu_type": "m.receipt", "content": receipt}])

    assert orjson.loads(answer.body) == {"pdus": {event.event_id: {} for event in events}}
    seen: list[str] = []
    read: list[str] = []
    while len(seen) < 3 or not read:
        synced = (await alice.sync(timeout_ms=5_000)).get("rooms", {}).get("join", {}).get(room.room_id, {})
        seen += [event["event_id"] for event in synced.get("timeline", {}).get("events", [])]
        for event in synced.get("ephemeral", {}).get("events", []):
            read += event["content"] if event["type"] == "m.receipt" else []
    assert seen == [event.event_id for event in events]
    assert read == [events[2].event_id]


@pytest.mark.parametrize("source", ["recent", "stored"])
async def test_what_a_limited_sync_left_out_is_before_its_token(
    wire: Wire, alice: Client, peer: Peer, near: Server, tmp_path: Path, source: str
) -> None:
    """Also where what came last stands on a branch that began earlier than what was left out."""
    room = await enter(alice, peer)
    await alice.sync()
    theirs = [room.say(peer.user(), f"theirs {number}") for number in range(3)]
    ours = [await alice.say(room.room_id, f"ours {number}") for number in range(6)]
    await peer.send(NEAR, theirs)
    await until(lambda: sees(alice, theirs[-1]))
    if source == "stored":
        await near.stop()
        alice.server = await wire.add(NEAR, tmp_path)

    answer = await alice.sync(filter='{"room":{"timeline":{"limit":3}}}')

    timeline = answer["rooms"]["join"][room.room_id]["timeline"]
    assert [event["event_id"] for event in timeline["events"]] == [event.event_id for event in theirs]
    query = {"dir": "b", "limit": 50, "from": timeline["prev_batch"]}
    chunk = (await alice.get(path("rooms", room.room_id, "messages", **query))).ok()["chunk"]
    assert set(ours) <= {event["event_id"] for event in chunk}


async def test_a_room_that_waits_for_others_holds_up_none(alice: Client, peer: Peer) -> None:
    """While missing events are asked for that nobody gives, other rooms go on."""
    slow, quick = await enter(alice, peer), await enter(alice, peer)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait(request: Asked, answer: Any) -> Any:
        asked.set()
        await may_answer.wait()
        return answer

    peer.lies["get_missing_events"] = wait
    slow.say(peer.user(), "lost")
    late, prompt = slow.say(peer.user(), "late"), quick.say(peer.user(), "prompt")
    await peer.send(NEAR, [late])
    await asked.wait()

    await peer.send(NEAR, [prompt])

    await until(lambda: sees(alice, prompt))
    assert not await sees(alice, late)
    may_answer.set()
    await until(lambda: sees(alice, late))


async def test_what_was_acknowledged_outlasts_a_crash(
    wire: Wire, near: Server, alice: Client, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start finds in the data what was staged, and works it off once."""
    room = await enter(alice, peer)
    began = asyncio.Event()

    async def hang(origin: str, room_id: str, events: Sequence[Event]) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(
        near.app.services.federation.inbound.room_queues,
        "_accept",
        type("Hung", (), {"accept": staticmethod(hang)}),
    )
    event = room.say(peer.user(), "hello")
    assert (await peer.send(NEAR, [event], txn="t")).status == 200
    await began.wait()
    # What a process that is killed now leaves behind.
    shutil.copytree(near.app.services.config.data_dir, tmp_path / "after" / "near.test")
    await near.stop()

    again = await wire.add(NEAR, tmp_path / "after")

    alice = Client(again, alice.token, alice.user_id, alice.device_id)
    await until(lambda: sees(alice, event))
    repeated = await peer.send(NEAR, [event], txn="t")
    assert orjson.loads(repeated.body) == {"pdus": {event.event_id: {}}}
    chunk = (await alice.get(path("rooms", room.room_id, "messages", dir="b", limit=20))).ok()["chunk"]
    assert [seen["event_id"] for seen in chunk].count(event.event_id) == 1
