"""Holes in a room's timeline: they are never passed over in silence, and what was in them is found, each event once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from chamberlain.config.database import Database
from chamberlain.rooms.pipeline import fetch
from tests.federation.test_accept import enter
from tests.federation.test_convergence import DEEP
from tests.support.clock import FakeClock
from tests.support.gapped import MESSAGE, Gapped, Reader, children, pages, walk
from tests.support.peer import Peer
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire

FILTERS: list[Any] = [{}, {"types": [MESSAGE]}, {"not_types": [MESSAGE]}]
limits = st.sampled_from([1, 2, 3, 10, 100])


class World:
    """A server with a user, and a peer with many rooms."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path, database_url: str) -> None:
        self.loop = loop
        self.wire = Wire()
        self.peer = Peer.on(self.wire, "peer.test")
        database = Database(url=database_url, synchronous="off")
        self.near: Server = self.wait(self.wire.add("near.test", folder, database=database))
        self.alice: Client = self.wait(self.near.register("alice"))

    def wait(self, what: Any) -> Any:
        """Run the loop until this is done."""
        return self.loop.run_until_complete(what)


class Story(RuleBasedStateMachine):
    """One room: what happens in it, what of it arrives when, and who reads it how."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Reader] = []
        self.tokens: list[str] = []

    def wait(self, what: Any) -> Any:
        return self.world.wait(what)

    @initialize(before=st.integers(0, 12), version=st.sampled_from(["1", "6", "10", "12"]))
    def begin(self, before: int, version: str) -> None:
        room = self.world.peer.room(version).furnish()
        self.room = Gapped(self.world.near, self.world.peer, room)
        for _ in range(before):
            self.room.make()
        self.wait(enter(self.world.near, self.world.peer, room, self.world.alice))
        self.wait(self.room.say(self.world.alice))
        self.room.root = self.room.made[-1].event_id

    # ------------------------------------------------------------------------------------ what happens

    @rule(count=st.integers(1, 4), back=st.lists(st.integers(0, 5), max_size=2), is_state=st.booleans())
    def make(self, count: int, back: list[int], is_state: bool) -> None:
        """The peer's users send something, after the newest or on a fork."""
        known = list(self.room.room.events)
        prev = sorted({known[-1 - min(n, len(known) - 1)] for n in back}) or None
        for n in range(count):
            self.room.make(prev if n == 0 else [self.room.made[-1].event_id], is_state=is_state)

    @rule(which=st.integers(0, 30), tells=st.sampled_from([0, 0, 1, 20]))
    def deliver(self, which: int, tells: int) -> None:
        """One of the events arrives; of what is before it the peer tells some, or nothing."""
        if self.room.made:
            self.room.tells = tells
            self.wait(self.room.deliver(self.room.made[-1 - which % len(self.room.made)]))

    @rule()
    def say(self) -> None:
        self.wait(self.room.say(self.world.alice))

    @rule(gives=st.sampled_from([0, 1, 3, 100]))
    def give(self, gives: int) -> None:
        """From now on the peer gives so much of the past."""
        self.room.gives = gives

    # ---------------------------------------------------------------------------------------- who reads

    @rule(limit=limits, wanted=st.sampled_from(FILTERS))
    def come(self, limit: int, wanted: Any) -> None:
        """A new client."""
        self.readers.append(Reader(self.world.alice, self.room, limit=limit, wanted=wanted))
        self.sync(len(self.readers) - 1)

    @rule(which=st.integers(0, 20))
    def sync(self, which: int) -> None:
        if self.readers:
            reader = self.readers[which % len(self.readers)]
            self.wait(reader.sync())
            self.tokens += [token for token in (reader.since, reader.prev_batch) if token is not None]

    @rule(which=st.integers(0, 20), direction=st.sampled_from("bf"), limit=limits, count=st.integers(1, 3))
    def page(self, which: int, direction: str, limit: int, count: int) -> None:
        """Somebody pages a little from some token."""
        start = self.tokens[which % len(self.tokens)] if self.tokens else None
        self.wait(self._page(start, direction, limit, count))

    async def _page(self, start: str | None, direction: str, limit: int, count: int) -> None:
        found = pages(self.world.alice, self.room.room.room_id, start, direction, wanted={}, limit=limit)
        for _ in range(count):
            _, end = await anext(found, ([], None))
            if end is None:
                break
            self.tokens.append(end)
        await found.aclose()

    @rule(which=st.integers(0, 20), limit=st.integers(0, 5))
    def look_around(self, which: int, limit: int) -> None:
        """Somebody looks at an event in its context."""
        there = sorted(self.wait(self.room.positions()))
        place = path("rooms", self.room.room.room_id, "context", there[which % len(there)], limit=limit)
        found = self.wait(self.world.alice.get(place)).ok()
        shown = [event["event_id"] for event in (found["event"], *found["events_before"])]
        events = self.room.room.events
        missing = {prev for event_id in shown for prev in events[event_id].prev_events} - set(there)
        lowest = min(events[event_id].depth for event_id in shown)
        assert all(events[prev].depth < lowest for prev in missing), "a silent hole"
        self.tokens += [found["start"], found["end"]]

    # ------------------------------------------------------------------------------------------ the end

    def teardown(self) -> None:
        if hasattr(self, "room"):
            self.wait(self.end())

    async def end(self) -> None:
        """Every reader finds everything that there is, once; every token parts it in two."""
        self.room.gives = self.room.gives or 100
        room_id = self.room.room.room_id
        alice = self.world.alice
        everything = self.room.history_of(await self.room.positions())
        for reader in self.readers:
            await reader.sync()
            assert reader.prev_batch is not None
            before = await walk(
                alice, room_id, reader.prev_batch, "b", wanted=reader.wanted, limit=reader.limit
            )
            self.is_in_order(before[::-1])
            found = [*before, *reader.timeline]
            wanted = {event_id for event_id in everything if self.wants(event_id, reader.wanted)}
            assert sorted(found) == sorted(wanted)
        self.is_in_order(await walk(alice, room_id, None, "f"))
        for token in dict.fromkeys(self.tokens):
            before = await walk(alice, room_id, token, "b", limit=7)
            after = await walk(alice, room_id, token, "f", limit=7)
            assert sorted([*before, *after]) == sorted(await self.room.positions()), token
            related = await children(alice, room_id, self.room.root, token)
            assert sorted(related) == sorted(await children(alice, room_id, self.room.root)), token
            if token.startswith("s"):
                self.is_in_order(before[::-1])
                self.is_in_order(after)

    def wants(self, event_id: str, wanted: Any) -> bool:
        kind = self.room.room.events[event_id].type  # type: ignore[index]
        return kind in wanted.get("types", [kind]) and kind not in wanted.get("not_types", [])

    def is_in_order(self, event_ids: list[str]) -> None:
        """Nothing comes before what it follows."""
        seen: set[str] = set()
        there = set(event_ids)
        for event_id in event_ids:
            prev_events = self.room.room.events[event_id].prev_events  # type: ignore[index]
            assert all(prev in seen for prev in prev_events if prev in there)
            seen.add(event_id)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[World]:
    """A server on each database, in a loop of its own."""
    loop = asyncio.new_event_loop()
    with patch("chamberlain.rooms.pipeline.backfill.PAUSE_S", -1.0):
        found = World(loop, tmp_path, database_url)
        yield found
        found.wait(found.wire.stop())
    loop.close()


def test_whatever_arrives_when(world: World) -> None:
    """Random graphs, orders of arrival, backfill, limits, filters and directions."""

    class InWorld(Story):
        pass

    InWorld.world = world
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        InWorld,
        settings=settings(
            max_examples=300 if DEEP else 15,
            stateful_step_count=60 if DEEP else 30,
            deadline=None,
            derandomize=not DEEP,
            phases=[Phase.generate] if not DEEP else list(Phase),
            suppress_health_check=list(HealthCheck),
        ),
    )


# ------------------------------------------------------------------------------------------- two real servers


@pytest.fixture
async def near(wire: Wire, tmp_path: Path, clock: FakeClock) -> Server:
    """The server `near.test`, whose time stands still."""
    return await wire.add("near.test", tmp_path, clock=clock)


@pytest.fixture
async def reader(wire: Wire, tmp_path: Path, clock: FakeClock, database_url: str) -> Client:
    """A user of a server on each database."""
    database = Database(url=database_url, synchronous="off")
    return await (await wire.add("third.test", tmp_path, clock=clock, database=database)).register("carol")


async def told(client: Client, room_id: str, last: str) -> tuple[list[str], str | None]:
    """What syncs bring since the last hole, up to an event; and the token of what is before it, if there was a hole."""
    timeline: list[str] = []
    token: str | None = None

    async def has_come() -> bool:
        nonlocal token
        part = (await client.sync()).get("rooms", {}).get("join", {}).get(room_id)
        if part is not None:
            if part["timeline"]["limited"]:
                timeline.clear()
                token = part["timeline"]["prev_batch"]
            timeline.extend(event["event_id"] for event in part["timeline"]["events"])
        return last in timeline

    await until(has_come, seconds=120)
    return timeline, token


@pytest.mark.parametrize("rounds", [0, 1, fetch.MISSING_ROUNDS])
async def test_who_was_parted_finds_all_that_was_said(
    wire: Wire,
    clock: FakeClock,
    near: Server,
    alice: Client,
    reader: Client,
    rounds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server hears of the newest alone after a long time: what its users missed is before the timeline, in order."""
    monkeypatch.setattr(fetch, "MISSING_ROUNDS", rounds)
    room = await alice.create_room(preset="public_chat")
    await reader.join(room)
    await told(reader, room, await alice.say(room, "before"))
    wire.part("third.test")
    missed = [await alice.say(room, f"missed {number}") for number in range(130)]
    await clock.advance(2 * 3600)
    missed.append(await alice.say(room, "newest"))
    wire.heal()
    near.app.services.federation.remotes.availability.heard_of("third.test")

    async def all_of(timeline: list[str], token: str | None) -> list[str]:
        before = [] if token is None else await walk(reader, room, token, "b", limit=20)
        whole = [*before[::-1], *timeline]
        assert len(whole) == len(set(whole))
        return [event_id for event_id in whole if event_id in missed]

    timeline, token = await told(reader, room, missed[-1])
    assert token is not None or rounds > 1
    assert await all_of(timeline, token) == missed
    # Whoever comes when all of it is here is shown no wrong neighbors either.
    fresh = await reader.server.login("carol")
    later, token = await told(fresh, room, missed[-1])
    assert later == timeline[-len(later) :]
    assert await all_of(later, token) == missed
    query = {"search_categories": {"room_events": {"search_term": "missed"}}}
    found = (await reader.post("search", query)).ok()["search_categories"]["room_events"]
    assert found["count"] == len(missed) - 1
