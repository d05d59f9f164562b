"""Events of other servers, from `rooms.imports` and `rooms.accept` to what a local client sees."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chamberlain.config.database import Database
from chamberlain.federation.client import federation_path
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.errors import Forbidden
from chamberlain.matrix.events import Event
from chamberlain.rooms.pipeline import fetch
from chamberlain.rooms.pipeline.fork import Forking
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path, until
from tests.support.tables import select
from tests.support.wire import Wire

VERSIONS = ("1", "2", "6", "10", "11", "12")


@pytest.fixture
async def near(wire: Wire, tmp_path: Path, database_url: str) -> Server:
    """The server `near.test`, once on each database."""
    return await wire.add("near.test", tmp_path, database=Database(url=database_url, synchronous="off"))


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A server made by hand."""
    return Peer.on(wire, "peer.test")


async def enter(
    server: Server, peer: Peer, room: PeerRoom, user: Client, *, omit_members: bool = False
) -> Event:
    """Have a local user join a room of the peer, by hand."""
    remotes = server.app.services.federation.remotes
    peer.keys.setdefault("near.test", remotes.signing_key)
    state = [
        event_id for (kind, _), event_id in room.state.items() if not omit_members or kind != "m.room.member"
    ]
    join = room.build("m.room.member", user.user_id, {"membership": "join"}, state_key=user.user_id)
    chain = room.auth_chain([*state, *join.auth_events])
    await server.app.services.rooms.imports.join(
        peer.name,
        room.version,
        join,
        [room.events[event_id].pdu for event_id in state],
        [room.events[event_id].pdu for event_id in chain],
        members_omitted=omit_members,
        servers=[peer.name],
    )
    room.put(join)
    return join


async def accept(server: Server, peer: Peer, events: Sequence[Event]) -> None:
    """Have events arrive."""
    await server.app.services.rooms.accept.accept(peer.name, events[0].room_id, events)


async def timeline(user: Client, room_id: str) -> list[str]:
    """The ids of the events that the user sees, oldest first."""
    chunk = (await user.get(path("rooms", room_id, "messages", dir="b", limit=100))).ok()["chunk"]
    return [event["event_id"] for event in reversed(chunk)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_room_comes_whole(near: Server, alice: Client, peer: Peer, version: str) -> None:
    """After the join the user has the room's state, and says something that the peer takes."""
    room = peer.room(version).furnish()
    room.send("m.room.name", peer.user(), {"name": "Far away"}, state_key="")
    await alice.sync()

    join = await enter(near, peer, room, alice)

    synced = (await alice.sync())["rooms"]["join"][room.room_id]
    assert synced["timeline"]["limited"]
    assert [event["event_id"] for event in synced["timeline"]["events"]] == [join.event_id]
    names = [
        event["content"]["name"] for event in synced["state"]["events"] if event["type"] == "m.room.name"
    ]
    assert names == ["Far away"]
    members = (await alice.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]
    assert sorted(members) == sorted([alice.user_id, peer.user()])
    await alice.say(room.room_id, "hello")


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_follows_is_seen(near: Server, alice: Client, peer: Peer, version: str) -> None:
    """Messages and state arrive in order; a repetition changes nothing; local events go on from there."""
    room = peer.room(version).furnish()
    await enter(near, peer, room, alice)
    await alice.sync()
    sent = [room.say(peer.user(), "one"), room.say(peer.user(), "two")]
    sent.append(room.send("m.room.topic", peer.user(), {"topic": "All"}, state_key=""))

    await accept(near, peer, sent)
    await accept(near, peer, sent)

    events = (await alice.sync())["rooms"]["join"][room.room_id]["timeline"]["events"]
    assert [event["event_id"] for event in events] == [event.event_id for event in sent]
    assert (await alice.state(room.room_id, "m.room.topic")).ok() == {"topic": "All"}
    own = await alice.say(room.room_id, "three")
    assert (await timeline(alice, room.room_id))[-1] == own


async def test_a_fork_is_resolved(near: Server, alice: Client, peer: Peer) -> None:
    """Two ways that the history went come together: both are in the timeline, one topic holds."""
    room = peer.room("10").furnish(events={"m.room.topic": 0})
    await enter(near, peer, room, alice)
    mine = room.send("m.room.topic", peer.user(), {"topic": "Mine"}, state_key="")
    own = await alice.set_state(room.room_id, "m.room.topic", {"topic": "Ours"})

    await accept(near, peer, [mine])

    seen = await timeline(alice, room.room_id)
    assert {mine.event_id, own} <= set(seen)
    later = room.say(peer.user(), "later")
    await accept(near, peer, [later])
    assert (await timeline(alice, room.room_id))[-1] == later.event_id
    assert (await alice.say(room.room_id, "and on")) in await timeline(alice, room.room_id)


async def test_a_gap_is_filled(near: Server, alice: Client, peer: Peer) -> None:
    """What leads to an event is asked for; all of it is in the timeline."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    missed = [room.say(peer.user(), f"missed {n}") for n in range(30)]
    last = room.say(peer.user(), "last")

    await accept(near, peer, [last])

    wanted = [event.event_id for event in (*missed, last)]
    assert [event_id for event_id in await timeline(alice, room.room_id) if event_id in wanted] == wanted


async def test_a_gap_is_filled_in_the_order_of_the_graph(near: Server, alice: Client, peer: Peer) -> None:
    """What events say of their depth may be a lie."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    deep = max(event.depth for event in room.events.values()) + 100
    missed = [room.say(peer.user(), f"missed {n}", depth=deep - n) for n in range(5)]
    last = room.say(peer.user(), "last", depth=deep + 1)

    await accept(near, peer, [last])

    chunk = (await alice.sync())["rooms"]["join"][room.room_id]["timeline"]["events"]
    assert [event["event_id"] for event in chunk][-6:] == [event.event_id for event in (*missed, last)]
    assert not [asked for asked in peer.asked if asked.name == "state_ids"]


async def test_auth_events_that_nobody_has_are_not_asked_for_without_end(
    near: Server, alice: Client, peer: Peer
) -> None:
    """However many events of one call cite such."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    content = {"msgtype": "m.text", "body": "x"}
    lies = [room.build("m.room.message", peer.user(), content, auth=[f"${n:043d}"]) for n in range(40)]
    good = room.say(peer.user(), "good")

    await accept(near, peer, [*lies, good])

    assert len([asked for asked in peer.asked if asked.name == "event_auth"]) <= 20
    assert (await timeline(alice, room.room_id))[-1] == good.event_id


async def test_a_state_beyond_all_bounds_is_not_taken(
    near: Server, alice: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are not even looked for."""
    monkeypatch.setattr(fetch, "MAX_STATE", 20)
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    room.say(peer.user(), "missed")
    peer.lies["get_missing_events"] = lambda asked, honest: {"events": []}
    peer.lies["state_ids"] = lambda asked, honest: (
        honest | {"auth_chain_ids": [f"${n:043d}" for n in range(30)]}
    )
    last = room.say(peer.user(), "last")

    await accept(near, peer, [last])

    assert last.event_id not in await timeline(alice, room.room_id)
    assert not [asked for asked in peer.asked if asked.name == "event"]


@pytest.mark.parametrize("known", ("missed", "last"))
async def test_a_state_is_told_where_a_gap_stays(near: Server, alice: Client, peer: Peer, known: str) -> None:
    """An event behind a gap that nobody fills has the state before it that others say it has.

    They say it of the event that is missing or of the one that follows it, whichever they know.
    """
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    missed = room.send("m.room.topic", peer.user(), {"topic": "Missed"}, state_key="")
    peer.lies["get_missing_events"] = lambda asked, honest: {"events": []}
    last = room.say(peer.user(), "last")
    at = {"missed": missed.event_id, "last": last.event_id}[known]

    def tell(asked: Asked, honest: Any) -> Any:
        return honest if asked.query["event_id"] == [at] else TransportAnswer(404, {}, b"{}")

    peer.lies["state_ids"] = tell

    await accept(near, peer, [last])

    assert (await timeline(alice, room.room_id))[-1] == last.event_id
    assert (await alice.state(room.room_id, "m.room.topic")).ok() == {"topic": "Missed"}


async def test_who_was_banned_on_a_fork_is_soft_failed(near: Server, alice: Client, peer: Peer) -> None:
    """An event that the current state does not allow is not shown, though it was allowed where it was sent."""
    room = peer.room("10").furnish(users={peer.user(): 100, alice.user_id: 100})
    room.member(peer.user("mallory"), "join")
    await enter(near, peer, room, alice)
    late = room.say(peer.user("mallory"), "I was here")
    (await alice.post(f"{path('rooms', room.room_id)}/ban", {"user_id": peer.user("mallory")})).ok()

    await accept(near, peer, [late])

    assert late.event_id not in await timeline(alice, room.room_id)
    after = room.say(peer.user(), "after")
    await accept(near, peer, [after])
    assert (await timeline(alice, room.room_id))[-1] == after.event_id


async def test_what_is_not_allowed_is_rejected(near: Server, alice: Client, peer: Peer) -> None:
    """An event that its auth events do not allow is not shown, and what it set is not set."""
    room = peer.room("10").furnish(state_default=50)
    room.member(peer.user("bob"), "join")
    await enter(near, peer, room, alice)
    bad = room.build("m.room.topic", peer.user("bob"), {"topic": "Mine"}, "")
    room.put(bad, rejected=True)
    good = room.say(peer.user(), "hello")

    await accept(near, peer, [bad, good])

    seen = await timeline(alice, room.room_id)
    assert bad.event_id not in seen and seen[-1] == good.event_id
    (await alice.state(room.room_id, "m.room.topic")).error(404, "M_NOT_FOUND")
    for name in ("state", "state_ids"):
        for event, status in ((bad, 404), (good, 200)):
            target = federation_path("v1", name, room.room_id) + f"?event_id={quote(event.event_id)}"
            assert (await peer.request("near.test", "GET", target)).status == status, name


async def test_a_redaction_may_come_first(near: Server, alice: Client, peer: Peer) -> None:
    """The target of a redaction is redacted when it comes, before or after it, in one batch too."""
    room = peer.room("11").furnish()
    await enter(near, peer, room, alice)
    first = room.say(peer.user(), "secret one")
    undone = room.send("m.room.redaction", peer.user(), {}, redacts=first.event_id)
    await accept(near, peer, [first, undone])

    found = (await alice.get(path("rooms", room.room_id, "event", first.event_id))).ok()

    assert found["content"] == {} and found["unsigned"]["redacted_because"]["event_id"] == undone.event_id
    assert found["unsigned"]["redacted_by"] == undone.event_id


async def test_a_moderator_may_redact_what_has_not_come(
    near: Server, alice: Client, peer: Peer, wire: Wire
) -> None:
    """The power of the redaction's sender counts, whatever of the room is in memory when the target comes."""
    third = Peer.on(wire, "third.test")
    peer.keys["third.test"] = third.key
    room = peer.room("10").furnish()
    room.member(third.user(), "join")
    await enter(near, peer, room, alice)
    before = sorted(room.heads)
    spam = room.build("m.room.message", third.user(), {"body": "spam", "msgtype": "m.text"})
    undone = room.send("m.room.redaction", peer.user(), {}, redacts=spam.event_id)
    await accept(near, peer, [undone])
    near.app.services.rooms.heads.forget(room.room_id)

    room.put(spam)
    assert list(spam.prev_events) == before
    await accept(near, peer, [spam])

    found = (await alice.get(path("rooms", room.room_id, "event", spam.event_id))).ok()
    assert found["content"] == {}


@pytest.mark.parametrize("had_power", (True, False))
async def test_a_redaction_goes_by_the_state_before_it(
    near: Server, alice: Client, peer: Peer, wire: Wire, had_power: bool
) -> None:
    """Whatever has come meanwhile: else each server would have something else redacted."""
    third = Peer.on(wire, "third.test")
    peer.keys["third.test"] = third.key
    mallory = third.user("mallory")
    levels = [{"users": {peer.user(): 100, mallory: level}} for level in ((50, 0) if had_power else (0, 50))]
    room = peer.room("10").furnish(**levels[0])
    room.member(mallory, "join")
    await enter(near, peer, room, alice)
    said = room.say(peer.user(), "hello")
    await accept(near, peer, [said])
    start = sorted(room.heads)
    changed = room.send("m.room.power_levels", peer.user(), levels[1], "", prev=start)
    redaction = room.send("m.room.redaction", mallory, {}, redacts=said.event_id, prev=start)

    await accept(near, peer, [changed])
    await accept(near, peer, [redaction])

    shown = (await alice.get(path("rooms", room.room_id, "event", said.event_id))).ok()
    assert ("body" not in shown["content"]) == had_power


async def test_what_cites_an_event_twice_is_rejected(near: Server, alice: Client, peer: Peer) -> None:
    """It does no harm to what comes with it."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    cited = room.build("m.room.topic", peer.user(), {"topic": "Once"}, "").auth_events
    bad = room.build("m.room.topic", peer.user(), {"topic": "Twice"}, "", auth=[*cited, cited[0]])
    good = room.say(peer.user(), "hello")

    await accept(near, peer, [bad, good])

    assert (await timeline(alice, room.room_id))[-1] == good.event_id
    (await alice.state(room.room_id, "m.room.topic")).error(404, "M_NOT_FOUND")


async def test_a_badly_signed_event_is_dropped(near: Server, alice: Client, peer: Peer) -> None:
    """Nothing of it is kept; `receive` says so."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    said = room.say(peer.user(), "hello")
    forged = Event.parse(said.pdu.replace(b'"ed25519:peer":"', b'"ed25519:peer":"AAAA'), room.version)

    await accept(near, peer, [forged])

    assert said.event_id not in await timeline(alice, room.room_id)
    with pytest.raises(Forbidden):
        await near.app.services.rooms.accept.receive(peer.name, forged)


@pytest.mark.parametrize("version", ("1", "3", "10"))
async def test_an_event_goes_by_its_own_id(near: Server, alice: Client, peer: Peer, version: str) -> None:
    """It may have been staged by the rules of a version that another server claimed the room to have."""
    room = peer.room(version).furnish()
    await enter(near, peer, room, alice)
    said = room.say(peer.user(), "hello")
    renamed = Event.load(said.pdu, room.version, "$" + "x" * 43, room.room_id)

    await accept(near, peer, [renamed])
    assert await select(near, "SELECT event_id FROM events WHERE type = 'm.room.message'") == []

    await accept(near, peer, [said])
    assert (await timeline(alice, room.room_id))[-1] == said.event_id


async def test_a_room_is_entered_anew(near: Server, alice: Client, peer: Peer) -> None:
    """Where all users here had left, the state comes anew from the others."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    await alice.leave(room.room_id)
    room.member(alice.user_id, "leave")
    room.send("m.room.topic", peer.user(), {"topic": "New"}, state_key="")

    await enter(near, peer, room, alice)

    assert (await alice.state(room.room_id, "m.room.topic")).ok() == {"topic": "New"}
    assert room.room_id in (await alice.get("joined_rooms")).ok()["joined_rooms"]
    await alice.say(room.room_id, "back")


@pytest.mark.parametrize("version", VERSIONS)
async def test_history_from_before_the_join_is_fetched(
    near: Server, alice: Client, peer: Peer, version: str
) -> None:
    """Who pages back sees all that was said before, each once and in order, to the beginning of the room."""
    room = peer.room(version).furnish()
    for n in range(150):
        room.say(peer.user(), f"before {n}")
        if n % 50 == 0:
            room.send("m.room.topic", peer.user(), {"topic": f"Topic {n}"}, "")
    await enter(near, peer, room, alice)
    batch = (await alice.sync())["rooms"]["join"][room.room_id]["timeline"]["prev_batch"]

    seen: list[str] = []
    while batch is not None:
        target = path("rooms", room.room_id, "messages", dir="b", limit=40, **{"from": batch})
        page = (await alice.get(target)).ok()
        seen.extend(event["event_id"] for event in page["chunk"])
        batch = page.get("end") if page["chunk"] else None

    in_order = sorted(room.events.values(), key=lambda event: -event.depth)[1:]
    assert seen == [event.event_id for event in in_order]
    topic = next(event for event in in_order if event.content.get("topic") == "Topic 100")
    context = (await alice.get(path("rooms", room.room_id, "context", topic.event_id, limit=2))).ok()
    topics = [event["content"] for event in context["state"] if event["type"] == "m.room.topic"]
    assert topics == [{"topic": "Topic 100"}]
    assert (await alice.sync()).get("rooms") is None


async def test_nobody_is_asked_again_and_again(near: Server, alice: Client, peer: Peer) -> None:
    """Where nobody gives more of the history, pages come without it, and others are left alone for a while."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    peer.lies["backfill"] = lambda asked, honest: {"pdus": []}

    for _ in range(3):
        (await alice.get(path("rooms", room.room_id, "messages", dir="b"))).ok()

    assert len([asked for asked in peer.asked if asked.name == "backfill"]) == 1


async def test_many_ends_are_tied_together(near: Server, alice: Client, peer: Peer) -> None:
    """An event of ours follows ten of many ends at most; what is left is followed by the next ones."""
    room = peer.room("10").furnish()
    await enter(near, peer, room, alice)
    start = sorted(room.heads)
    forks = [room.say(peer.user(), f"fork {n}", prev=start) for n in range(25)]
    await accept(near, peer, forks)

    sent = [await alice.say(room.room_id, f"tie {n}") for n in range(3)]

    seen = await timeline(alice, room.room_id)
    assert {fork.event_id for fork in forks} <= set(seen) and seen[-3:] == sent
    head = await near.app.services.rooms.heads.get(room.room_id)
    assert [extremity.event_id for extremity in head.extremities] == sent[-1:]


async def test_members_come_later(near: Server, alice: Client, peer: Peer) -> None:
    """A room that came without its members can be used at once; they are fetched, and clients hear of them."""
    room = peer.room("10").furnish()
    others = [peer.user(f"user{n}") for n in range(20)]
    for user in others:
        room.member(user, "join")
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def hold(_: Asked, honest: Any) -> Any:
        asked.set()
        await go_on.wait()
        return honest

    peer.lies["state_ids"] = hold
    await alice.sync()
    await enter(near, peer, room, alice, omit_members=True)
    await asked.wait()

    partly = (await alice.sync())["rooms"]["join"][room.room_id]
    assert len([event for event in partly["state"]["events"] if event["type"] == "m.room.member"]) < 20
    said = room.say(others[3], "you do not know me")
    left = room.member(others[4], "leave")
    await accept(near, peer, [said, left])
    assert (await timeline(alice, room.room_id))[-2:] == [said.event_id, left.event_id]
    await alice.say(room.room_id, "hello")
    await alice.sync()
    reading = asyncio.create_task(alice.get(path("rooms", room.room_id, "joined_members")))
    go_on.set()

    joined = (await reading).ok()["joined"]
    assert sorted(joined) == sorted({alice.user_id, peer.user(), *others} - {others[4]})
    later = await alice.sync_until(lambda answer: room.room_id in answer.get("rooms", {}).get("join", {}))
    state = later["rooms"]["join"][room.room_id]["state"]["events"]
    assert {event["state_key"] for event in state if event["type"] == "m.room.member"} >= set(others) - {
        others[4]
    }
    summary = near.app.services.rooms.heads
    assert (await summary.get(room.room_id)).summary["joined"] == 21


async def test_servers_that_were_not_said_to_be_in_a_room(
    near: Server, alice: Client, peer: Peer, wire: Wire
) -> None:
    """They are told of what happens there once their users are known."""
    third = Peer.on(wire, "third.test")
    peer.keys["third.test"] = third.key
    room = peer.room("10").furnish()
    room.member(third.user(), "join")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_: Asked, honest: Any) -> Any:
        asked.set()
        await go_on.wait()
        return honest

    peer.lies["state_ids"] = hold
    await enter(near, peer, room, alice, omit_members=True)
    await asked.wait()
    outbound = near.app.services.federation.outbound
    await alice.say(room.room_id, "first")

    async def is_told(server: Peer, text: str) -> bool:
        return any(text in str(txn["pdus"]) for txn in server.transactions)

    await until(lambda: is_told(peer, "first"))
    assert await outbound.servers_in(room.room_id) == {"peer.test"}
    go_on.set()
    members = (await alice.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]
    assert third.user() in members

    await alice.say(room.room_id, "second")

    await until(lambda: is_told(third, "second"))
    assert await outbound.servers_in(room.room_id) == {"peer.test", "third.test"}


async def test_members_are_asked_for_after_a_restart(
    near: Server, alice: Client, peer: Peer, wire: Wire, tmp_path: Path, database_url: str
) -> None:
    """What was not finished when the server stopped goes on when it runs again."""
    room = peer.room("10").furnish()
    room.member(peer.user("other"), "join")
    peer.lies["state_ids"] = lambda asked, honest: TransportAnswer(500, {}, b"{}")
    await enter(near, peer, room, alice, omit_members=True)
    await near.stop()
    del peer.lies["state_ids"]

    again = await wire.add("near.test", tmp_path, database=Database(url=database_url, synchronous="off"))

    anew = Client(again, alice.token, alice.user_id, alice.device_id)
    joined = (await anew.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]
    assert peer.user("other") in joined


async def test_what_is_said_is_sent_though_members_are_missing(
    near: Server, alice: Client, peer: Peer, wire: Wire, tmp_path: Path, database_url: str
) -> None:
    """Also after a restart, when all that is known of the others is which servers they are on."""
    room = peer.room("10").furnish()
    peer.lies["state_ids"] = lambda asked, honest: TransportAnswer(404, {}, b"{}")
    await enter(near, peer, room, alice, omit_members=True)
    await near.stop()
    again = await wire.add("near.test", tmp_path, database=Database(url=database_url, synchronous="off"))
    anew = Client(again, alice.token, alice.user_id, alice.device_id)

    await anew.say(room.room_id, "hello")

    async def is_told() -> bool:
        return any("hello" in str(txn["pdus"]) for txn in peer.transactions)

    await until(is_told)


async def test_a_room_that_another_worker_brings_in_at_the_same_time(
    near: Server, alice: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second finds the room there, though it was not when they looked."""
    room = peer.room("10").furnish()
    carol = await near.register("carol")
    as_carol_sees_it = room.copy()
    await enter(near, peer, room, alice)
    heads = near.app.services.rooms.heads
    find = heads.find
    answers = [None]

    async def find_late(room_id: str) -> Any:
        return answers.pop() if answers else await find(room_id)

    monkeypatch.setattr(heads, "find", find_late)

    await enter(near, peer, as_carol_sees_it, carol)

    members = (await alice.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]
    assert sorted(members) == sorted([alice.user_id, carol.user_id, peer.user()])
    assert (
        await alice.get(path("rooms", room.room_id, "state", "m.room.member", carol.user_id))
    ).status == 200
    await alice.say(room.room_id, "hello")


async def test_a_join_is_placed_though_the_room_moves(
    near: Server, alice: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker was faster with an event: the second user is in the room all the same."""
    room = peer.room("10").furnish()
    carol = await near.register("carol")
    await enter(near, peer, room, alice)
    place = Forking.place
    conflicts = [None]

    async def place_late(*args: Any, **how: Any) -> Any:
        return conflicts.pop() if conflicts else await place(*args, **how)

    monkeypatch.setattr(Forking, "place", place_late)

    await enter(near, peer, room, carol)

    assert carol.user_id in (await alice.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]


async def test_a_room_that_was_left_before_its_members_were_known_comes_anew(
    near: Server, alice: Client, peer: Peer
) -> None:
    """It waits for nothing then, and who was said to be in it is so no more."""
    room = peer.room("10").furnish()
    peer.lies["state_ids"] = lambda asked, honest: TransportAnswer(500, {}, b"{}")
    await enter(near, peer, room, alice, omit_members=True)
    await alice.leave(room.room_id)
    room.member(alice.user_id, "leave")

    await enter(near, peer, room, alice)

    assert await select(near, "SELECT server FROM partial_room_servers") == []
    assert await select(near, "SELECT room_id FROM partial_rooms WHERE completed IS NULL") == []
    assert peer.user() in (await alice.get(path("rooms", room.room_id, "joined_members"))).ok()["joined"]


async def test_what_the_state_says_counts_before_what_the_join_cites(
    near: Server, alice: Client, peer: Peer
) -> None:
    """Where the join rule changed while alice was on her way, there is one rule all the same, the later one."""
    room = peer.room("10").furnish()
    peer.keys.setdefault("near.test", near.app.services.federation.remotes.signing_key)
    join = room.build("m.room.member", alice.user_id, {"membership": "join"}, alice.user_id)
    room.send("m.room.join_rules", peer.user(), {"join_rule": "public", "new": True}, "")
    state = [event_id for (kind, _), event_id in room.state.items() if kind != "m.room.member"]

    await near.app.services.rooms.imports.join(
        peer.name,
        room.version,
        join,
        [room.events[event_id].pdu for event_id in state],
        [room.events[event_id].pdu for event_id in room.auth_chain([*state, *join.auth_events])],
        members_omitted=True,
        servers=[peer.name],
    )

    assert (await alice.state(room.room_id, "m.room.join_rules")).ok()["new"]
