"""Jumping to a time at which this server was not in the room."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from tests.support.asgi import Answer, call
from tests.support.clock import FakeClock
from tests.support.server import Client, path
from tests.support.wire import Wire

A_WHILE = 5


class Story:
    """A room of Bob's in which something was said thirty times, before Alice of another server came."""

    def __init__(self, room: str, said: dict[str, int], alice: Client, bob: Client) -> None:
        self.room = room
        self.said = said
        """The times (ms) by event id, in order."""
        self.alice = alice
        self.bob = bob

    async def ask(self, ts: int, direction: str) -> Answer:
        """What is nearest to a time, as Alice asks."""
        target = path("rooms", self.room, "timestamp_to_event", ts=ts, dir=direction)
        return await self.alice.get(f"/_matrix/client/v1/{target}")


@pytest.fixture
async def story(wire: Wire, tmp_path: Path) -> Story:
    """Two servers whose clocks are one."""
    clock = FakeClock()
    near = await wire.add("near.test", tmp_path, clock=clock)
    far = await wire.add("far.test", tmp_path, clock=clock)
    alice, bob = await near.register("alice"), await far.register("bob")
    room = await bob.create_room(preset="public_chat")
    said: dict[str, int] = {}
    for n in range(30):
        await clock.advance(A_WHILE)
        said[await bob.say(room, f"no {n}")] = clock.now()
    await clock.advance(A_WHILE)
    await alice.join(room)
    return Story(room, said, alice, bob)


@pytest.mark.parametrize(("direction", "off"), [("f", -5), ("b", 5), ("f", 0), ("b", 0)])
async def test_a_time_before_this_server_came(story: Story, direction: str, off: int) -> None:
    """The other server knows the event, which then can be read with what is around it."""
    event_id, ts = list(story.said.items())[7]

    found = (await story.ask(ts + off, direction)).ok()

    assert found == {"event_id": event_id, "origin_server_ts": ts}
    context = (await story.alice.get(path("rooms", story.room, "context", event_id, limit=4))).ok()
    assert context["event"]["content"]["body"] == "no 7"
    assert [event["content"]["body"] for event in context["events_before"]] == ["no 6", "no 5"]


async def test_what_is_here_is_not_asked_for(wire: Wire, story: Story) -> None:
    """Neither a time after the join nor one that was filled in before."""
    last = await story.alice.say(story.room, "here")

    def questions() -> int:
        return len([one for one in wire.passed if "timestamp_to_event" in one.target])

    assert (await story.ask(2**50, "b")).ok()["event_id"] == last
    (await story.ask(2**50, "f")).error(404, "M_NOT_FOUND")
    assert questions() == 0
    event_id, ts = list(story.said.items())[20]
    assert (await story.ask(ts - 5, "f")).ok()["event_id"] == event_id
    earlier_id, earlier = list(story.said.items())[15]
    assert (await story.ask(earlier + 5, "b")).ok()["event_id"] == earlier_id
    assert questions() == 1


async def test_without_the_other_server(wire: Wire, story: Story) -> None:
    """What is nearest here."""
    wire.part("far.test")
    ts = list(story.said.values())[7]
    (await story.ask(ts, "b")).error(404, "M_NOT_FOUND")
    assert (await story.ask(ts, "f")).ok()["origin_server_ts"] > max(story.said.values())


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"event_id": "$x", "origin_server_ts": "late"},
        {"event_id": "nonsense", "origin_server_ts": 5},
        {"event_id": "$unknown", "origin_server_ts": 5},
        {"event_id": "$unknown", "origin_server_ts": 2**50},
    ],
)
async def test_servers_that_lie(wire: Wire, story: Story, told: Any) -> None:
    """An event that does not fit, or that they cannot give, is not there."""
    far = wire.servers["far.test"]

    async def liar(
        method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> TransportAnswer:
        if "/timestamp_to_event/" in target:
            return TransportAnswer(200, {}, orjson.dumps(told))
        found = await call(far.app.asgi, method, target, headers, body)
        return TransportAnswer(found.status, found.headers, found.body)

    wire.peers["far.test"] = liar
    (await story.ask(list(story.said.values())[7], "b")).error(404, "M_NOT_FOUND")
