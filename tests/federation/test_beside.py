"""Messages that servers send at the same time, none of which follows the others."""

from pathlib import Path

import msgspec
import pytest

from chamberlain.config.database import Database
from chamberlain.federation.outbound.ledger import Ledger, Tell
from chamberlain.matrix.events import Event
from chamberlain.rooms.pipeline.fork import MERGED, Forking
from chamberlain.rooms.pipeline.head import Extremity
from tests.federation.test_accept import accept, enter, timeline
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, until
from tests.support.tables import select
from tests.support.wire import Wire


@pytest.fixture
async def near(wire: Wire, tmp_path: Path, database_url: str) -> Server:
    """The server `near.test`, once on each database."""
    return await wire.add("near.test", tmp_path, database=Database(url=database_url, synchronous="off"))


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A server made by hand."""
    return Peer.on(wire, "peer.test")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that were placed as those on forks are, each by itself."""
    found: list[str] = []
    place = Forking.place

    async def noted(self: Forking, head: object, stored: object, *args: object, **how: object) -> object:
        found.append(stored.event.event_id)  # type: ignore[attr-defined]
        return await place(self, head, stored, *args, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Forking, "place", noted)
    return found


def branches(room: PeerRoom, speaker: str, count: int, length: int = 2) -> list[list[Event]]:
    """Messages on branches that all begin where the room is now."""
    heads = sorted(room.heads)
    found: list[list[Event]] = []
    for branch in range(count):
        prev: list[str] = list(heads)
        said: list[Event] = []
        for number in range(length):
            said.append(room.say(speaker, f"{branch} {number}", prev=prev))
            prev = [said[-1].event_id]
        found.append(said)
    return found


async def ends(server: Server, room: PeerRoom) -> set[str]:
    """The forward extremities."""
    ((encoded,),) = await select(
        server, "SELECT extremities FROM rooms WHERE room_id = :room_id", room_id=room.room_id
    )
    return {end.event_id for end in msgspec.json.decode(encoded, type=list[Extremity])}


async def test_those_who_talk_at_once_cost_no_forks(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """Their messages are placed together where the state is one; each branch is an end, until one ties them up."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    said = branches(room, peer.user(), 4)

    await accept(near, peer, [event for branch in said for event in branch])

    assert forked == []
    assert {event.event_id for branch in said for event in branch} <= set(await timeline(alice, room.room_id))
    assert await ends(near, room) == {branch[-1].event_id for branch in said} == room.heads
    points = await select(
        near, "SELECT DISTINCT before_line, before_ver FROM events WHERE type = 'm.room.message'"
    )
    assert len(points) == 1
    tied = room.say(peer.user(), "all of you")
    await accept(near, peer, [tied])
    assert await ends(near, room) == {tied.event_id}
    own = await alice.say(room.room_id, "and us")
    assert await ends(near, room) == {own} and forked == []


async def test_branches_may_come_one_by_one(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """What came before is found in the database; more ends than are resolved at once make no difference."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    said = branches(room, peer.user(), 25)

    for branch in said:
        await accept(near, peer, branch)
        await accept(near, peer, branch)

    assert forked == []
    assert await ends(near, room) == {branch[-1].event_id for branch in said}


async def test_after_another_state_it_is_a_fork(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """A message from before the newest state, and what follows it, are judged by the state of then."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    prev = sorted(room.heads)
    topic = room.send("m.room.topic", peer.user(), {"topic": "New"}, state_key="")
    old = room.say(peer.user(), "old", prev=prev)
    after = room.say(peer.user(), "after", prev=[old.event_id])
    new = room.say(peer.user(), "new", prev=[topic.event_id])

    await accept(near, peer, [topic, old, after, new])

    assert forked[:2] == [old.event_id, after.event_id]
    rows = await select(near, "SELECT event_id, before_line, before_ver FROM events WHERE position > 0")
    before = {event_id: point for event_id, *point in rows}
    assert before[old.event_id] == before[after.event_id] == before[topic.event_id]
    assert before[new.event_id] != before[old.event_id]
    assert (await alice.state(room.room_id, "m.room.topic")).ok() == {"topic": "New"}
    assert await ends(near, room) == {after.event_id, new.event_id}


async def test_who_was_banned_beside_it_is_soft_failed(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """And what follows that is not part of the room either way."""
    room = peer.room().furnish()
    mallory = peer.user("mallory")
    room.member(mallory, "join")
    await enter(near, peer, room, alice)
    prev = sorted(room.heads)
    ban = room.member(mallory, "ban", sender=peer.user())
    await accept(near, peer, [ban])
    late = room.say(mallory, "too late", prev=prev)
    reply = room.say(peer.user(), "what?", prev=[late.event_id])

    await accept(near, peer, [late, reply])

    assert forked == [late.event_id, reply.event_id]
    seen = await timeline(alice, room.room_id)
    assert late.event_id not in seen and reply.event_id in seen


async def test_a_message_that_was_missing_closes_its_gap(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """History breaks off no longer before what follows it, though it stands beside the end of the room."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    lost = room.say(peer.user(), "lost")
    after = room.say(peer.user(), "after")

    def nothing(asked: Asked, answer: object) -> object:
        return {"events": []}

    peer.lies["get_missing_events"] = nothing
    await accept(near, peer, [after])
    gap = "SELECT missing FROM backward_edges WHERE missing = :event_id"
    assert await select(near, gap, event_id=lost.event_id)

    await accept(near, peer, [lost])

    assert forked == [after.event_id, lost.event_id]
    assert not await select(near, gap, event_id=lost.event_id)


async def test_once_there_are_few_ends_again_all_of_them_count(
    near: Server, alice: Client, peer: Peer, forked: list[str]
) -> None:
    """What the room came to while there were too many is looked at anew, though a message follows just that."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    said = branches(room, peer.user(), MERGED - 2, length=1)
    start = list(said[0][0].prev_events)
    topic = room.send("m.room.topic", peer.user(), {"topic": "New"}, state_key="", prev=start)
    await accept(near, peer, [topic, *(event for branch in said for event in branch)])
    replies = [room.say(peer.user(), f"reply {n}", prev=[topic.event_id]) for n in range(4)]
    await accept(near, peer, replies)
    assert len(await ends(near, room)) > MERGED
    forked.clear()

    last = room.say(peer.user(), "last", prev=[reply.event_id for reply in replies])
    await accept(near, peer, [last])

    assert forked == [last.event_id] and len(await ends(near, room)) <= MERGED


async def test_what_others_say_is_not_looked_at_to_be_told(
    near: Server, alice: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They tell of it by themselves. What is said here after it reaches them, and state of theirs is looked at."""
    room = peer.room().furnish()
    await enter(near, peer, room, alice)
    outbound = near.app.services.federation.outbound

    async def is_quiet() -> bool:
        figures = outbound.figures()
        return figures.shards == len(outbound._shards) and (figures.unread, figures.destinations) == (0, 0)

    await until(is_quiet)
    looked: list[int] = []
    read_on = Ledger.read_on

    async def noted(self: Ledger, tell: Tell) -> bool:
        looked.append(self.cursor)
        return await read_on(self, tell)

    monkeypatch.setattr(Ledger, "read_on", noted)
    await accept(near, peer, [room.say(peer.user(), f"message {number}") for number in range(5)])
    await until(is_quiet)
    assert looked == []

    await accept(near, peer, [room.send("m.room.topic", peer.user(), {"topic": "News"}, state_key="")])
    await until(is_quiet)
    assert looked
    own = await alice.say(room.room_id, "so it is")

    async def is_told() -> bool:
        return own in room.events

    await until(is_told)
