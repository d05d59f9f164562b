"""A server that makes us ask, and lies then: what it gets out of us is bounded, and what it says is checked."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.events import Event
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import path, until
from tests.support.siege import Siege
from tests.support.wire import Wire

UNKNOWN = "$" + "u" * 43
NAMES = ("get_missing_events", "state_ids", "state", "event", "event_auth", "backfill")
REQUESTS = 300
"""What one full transaction may make us ask for at most."""


@pytest.fixture
async def siege(wire: Wire, tmp_path: Path) -> Siege:
    """A siege in a room of version 10."""
    return await Siege.lay(wire, tmp_path)


def raw(body: bytes, status: int = 200) -> TransportAnswer:
    """An answer of these bytes."""
    return TransportAnswer(status, {"content-type": "application/json"}, body)


def dangling(siege: Siege, *prev: str) -> Event:
    """A message whose predecessors nobody has."""
    return siege.message(prev=prev or [UNKNOWN], auth=siege.message().auth_events, depth=50)


ANSWERS: dict[str, Any] = {
    "nothing": raw(b""),
    "no JSON": raw(b"<html>"),
    "a list": [],
    "null": None,
    "other keys": {"a": 1},
    "strings for events": {
        "events": ["x"],
        "pdus": ["x"],
        "auth_chain": ["x"],
        "pdu_ids": ["x"],
        "auth_chain_ids": ["x"],
    },
    "numbers for lists": {"events": 1, "pdus": 1, "auth_chain": 1, "pdu_ids": 1, "auth_chain_ids": 1},
    "objects for ids": {
        "events": [{}],
        "pdus": [{}],
        "auth_chain": [{}],
        "pdu_ids": [{}],
        "auth_chain_ids": [{}],
    },
    "deep": raw(b"[" * 100_000),
    "500": raw(b"{}", 500),
    "403": raw(b'{"errcode":"M_FORBIDDEN"}', 403),
    "no UTF-8": raw(b'{"events":["\xff"]}'),
    "a thousand ids that nobody has": {
        "pdu_ids": [f"${number:043}" for number in range(1000)],
        "auth_chain_ids": [f"${number:043}" for number in range(1000, 2000)],
    },
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_nonsense_for_an_answer(siege: Siege, answer: Any) -> None:
    """Whatever it answers to our questions: the event is dropped, the room goes on."""
    for name in NAMES:
        siege.peer.lies[name] = lambda asked, honest: answer
    state = await siege.state()
    event = dangling(siege)
    siege.peer.asked.clear()

    await siege.attack(event)

    assert not await siege.sees(event.event_id)
    assert await siege.state() == state
    assert len(siege.peer.asked) <= REQUESTS


async def test_a_flood_of_predecessors(siege: Siege) -> None:
    """Fifty events with twenty unknown predecessors each: a bounded number of questions, and nothing is stored."""
    before = await siege.counts()
    events = [dangling(siege, *(f"${number:03}{n:040}" for n in range(20))) for number in range(50)]
    siege.peer.asked.clear()

    await siege.send(*events)
    await siege.settle(60)

    assert len(siege.peer.asked) <= REQUESTS
    assert (await siege.counts())["events"] == before["events"] + 1
    assert (await siege.counts()).get("backward_edges") == before.get("backward_edges")


async def test_an_endless_past(siege: Siege) -> None:
    """Each answer names one more event that is missing: we stop asking."""
    made = [dangling(siege, f"${1:043}")]
    auth = siege.message().auth_events

    def invent(asked: Asked, honest: Any) -> Any:
        older = siege.message(prev=[f"${len(made) + 1:043}"], auth=auth, depth=50)
        made.append(older)
        return {"events": [orjson.Fragment(older.pdu)]}

    siege.peer.lies["get_missing_events"] = invent
    siege.peer.asked.clear()

    await siege.attack(made[0])

    assert len(siege.peer.asked) <= REQUESTS


async def test_an_endless_past_that_is_connected(siege: Siege) -> None:
    """The same with events that really lead from one to the other, made on demand."""
    auth = siege.message().auth_events
    newest: list[Event] = []
    chain: list[Event] = []
    root = siege.message(prev=[UNKNOWN], auth=auth, depth=10)
    last = root
    for _ in range(400):
        last = siege.message(prev=[last.event_id], auth=auth, depth=last.depth + 1)
        chain.append(last)
    newest.append(chain[-1])
    by_id = {event.event_id: event for event in [root, *chain]}

    def give(asked: Asked, honest: Any) -> Any:
        found = []
        waiting = list(asked.body["latest_events"])
        while waiting and len(found) < 20:
            event = by_id.get(waiting.pop())
            for prev in event.prev_events if event else ():
                if prev in by_id:
                    found.append(by_id[prev])
                    waiting.append(prev)
        return {"events": [orjson.Fragment(event.pdu) for event in reversed(found)]}

    siege.peer.lies["get_missing_events"] = give
    siege.peer.asked.clear()

    await siege.attack(newest[0])

    assert len(siege.peer.asked) <= REQUESTS


async def test_a_fork_from_before_we_came(siege: Siege, capsys: pytest.CaptureFixture[str]) -> None:
    """What leads to it is history from before the join: it does not come as news, nor does the room begin anew."""
    await siege.alice.sync()
    first, second, *_ = siege.room.events.values()
    assert first.type == "m.room.create"
    late = siege.room.say(siege.peer.user(), "from the old days", prev=[second.event_id])

    await siege.attack(late)

    assert await siege.sees(late.event_id)
    room = (await siege.alice.sync())["rooms"]["join"][siege.room.room_id]
    assert {event["type"] for event in room["timeline"]["events"]} == {"m.room.message"}
    assert "[error" not in capsys.readouterr().out


async def test_events_of_other_rooms_for_an_answer(siege: Siege) -> None:
    """They are left out, also where they are good ones."""
    other = siege.peer.room("10").furnish()
    strange = [orjson.Fragment(event.pdu) for event in other.events.values()]
    for name in NAMES:
        siege.peer.lies[name] = lambda asked, honest: {
            "events": strange,
            "pdus": strange,
            "auth_chain": strange,
            "pdu_ids": list(other.events),
            "auth_chain_ids": list(other.events),
        }
    event = dangling(siege)

    await siege.attack(event)

    assert not await siege.sees(event.event_id)
    assert [event_id for event_id in other.events if await siege.row(event_id)] == []


async def test_another_event_than_the_one_asked_for(siege: Siege) -> None:
    """It does not stand for it."""
    wrong = siege.room.build("m.room.topic", siege.mallory, {"topic": "mine"}, "")
    siege.peer.lies["event"] = lambda asked, honest: {"pdus": [orjson.Fragment(wrong.pdu)]}
    siege.peer.lies["state_ids"] = lambda asked, honest: {
        "pdu_ids": [*siege.room.state.values(), UNKNOWN],
        "auth_chain_ids": [],
    }
    siege.peer.lies["get_missing_events"] = lambda asked, honest: {"events": []}

    await siege.attack(dangling(siege))

    assert ("m.room.topic", "") not in await siege.state()


# ---------------------------------------------------------------------------------------------- states that are told


def tell_state(siege: Siege, room: PeerRoom, event_ids: list[str]) -> None:
    """Have the peer say that this was the state before whatever it is asked for."""
    chain = sorted(room.auth_chain(event_ids) - set(event_ids))
    siege.peer.lies["get_missing_events"] = lambda asked, honest: {"events": []}
    siege.peer.lies["state_ids"] = lambda asked, honest: {"pdu_ids": event_ids, "auth_chain_ids": chain}
    siege.peer.lies["state"] = lambda asked, honest: {
        "pdus": [orjson.Fragment(room.events[found].pdu) for found in event_ids if found in room.events],
        "auth_chain": [orjson.Fragment(room.events[found].pdu) for found in chain],
    }


async def test_a_state_in_which_mallory_has_power(siege: Siege) -> None:
    """Power levels that nobody allowed are rejected, wherever they are said to stand."""
    state = await siege.state()
    power = siege.room.build("m.room.power_levels", siege.mallory, {"users": {siege.mallory: 100}}, "")
    siege.room.put(power, rejected=True)
    told = siege.room.state | {("m.room.power_levels", ""): power.event_id}
    tell_state(siege, siege.room, list(told.values()))
    auth = [
        told[key]
        for key in [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", siege.mallory)]
    ]
    topic = siege.room.build(
        "m.room.topic", siege.mallory, {"topic": "mine"}, "", prev=[UNKNOWN], auth=auth, depth=50
    )

    await siege.attack(topic)

    assert await siege.state() == state


async def test_an_old_state_does_not_come_back(siege: Siege) -> None:
    """Mallory had power once: a fork from then does not give it back."""
    room = siege.room
    high = room.send(
        "m.room.power_levels", siege.peer.user(), {"users": {siege.peer.user(): 100, siege.mallory: 50}}, ""
    )
    old = dict(room.state)
    low = room.send("m.room.power_levels", siege.peer.user(), {"users": {siege.peer.user(): 100}}, "")
    await siege.attack(high, low)
    tell_state(siege, room, list(old.values()))
    auth = [
        old[key]
        for key in [("m.room.create", ""), ("m.room.power_levels", ""), ("m.room.member", siege.mallory)]
    ]

    kick = room.build(
        "m.room.member",
        siege.mallory,
        {"membership": "leave"},
        siege.alice.user_id,
        prev=[UNKNOWN],
        auth=[*auth, room.state[("m.room.member", siege.alice.user_id)]],
        depth=50,
    )
    await siege.attack(kick)

    state = await siege.state()
    assert state[("m.room.power_levels", "")] == low.event_id
    assert state[("m.room.member", siege.alice.user_id)] != kick.event_id


@pytest.mark.parametrize("lack", ["create", "everything", "double"])
async def test_a_state_that_is_none(siege: Siege, lack: str) -> None:
    """Without its create event, empty, or with two events for one key."""
    state = await siege.state()
    told = list(siege.room.state.values())
    if lack == "create":
        told.remove(siege.room.state[("m.room.create", "")])
    elif lack == "double":
        told.append(siege.room.member(siege.mallory, "join").event_id)
    else:
        told = []
    tell_state(siege, siege.room, told)

    await siege.attack(dangling(siege))

    assert set(await siege.state()) == set(state)
    assert (await siege.alice.state(siege.room.room_id, "m.room.create")).status == 200


# ---------------------------------------------------------------------------------------------- slowness


async def test_a_slow_server_holds_up_no_other_room(siege: Siege, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does not answer, other rooms get their events, and clients can talk in its own."""
    monkeypatch.setattr("chamberlain.federation.remote_servers.FAST_SECONDS", 600)
    monkeypatch.setattr("chamberlain.federation.remote_servers.STATE_SECONDS", 600)
    honest = Peer.on(siege.wire, "honest.test")
    other = honest.room("10").furnish()
    target = f"{path('join', other.room_id)}?server_name=honest.test&via=honest.test"
    (await siege.alice.post(target)).ok()
    release = asyncio.Event()
    reached = asyncio.Event()

    async def hang(asked: Asked, told: Any) -> Any:
        reached.set()
        await release.wait()
        return {}

    for name in NAMES:
        siege.peer.lies[name] = hang
    await siege.send(dangling(siege))
    async with asyncio.timeout(60):
        await reached.wait()

    event = other.say(honest.user(), "hello")
    assert (await honest.send("near.test", [event])).status == 200

    async def arrived() -> bool:
        return (await siege.alice.get(path("rooms", other.room_id, "event", event.event_id))).status == 200

    await until(arrived)
    async with asyncio.timeout(60):
        await siege.alice.say(siege.room.room_id, "still here")
        await siege.alice.sync()
    release.set()
    await siege.settle()


async def test_a_server_that_never_answers_is_given_up(siege: Siege, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while its event is dropped, and the room goes on."""
    monkeypatch.setattr("chamberlain.federation.remote_servers.FAST_SECONDS", 0.05)
    monkeypatch.setattr("chamberlain.federation.remote_servers.STATE_SECONDS", 0.05)
    never = asyncio.Event()

    async def hang(asked: Asked, told: Any) -> Any:
        await never.wait()

    for name in NAMES:
        siege.peer.lies[name] = hang
    event = dangling(siege)

    await siege.attack(event)

    assert not await siege.sees(event.event_id)
