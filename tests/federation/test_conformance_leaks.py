"""What was refused never shows; what comes late or from two sides is where it belongs."""

from typing import Any

import orjson
import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.events import Event
from tests.federation.test_accept import accept, timeline
from tests.federation.test_joining import join
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, path, until
from tests.support.wire import Wire


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A hand-made server."""
    return Peer.on(wire, "peer.test")


async def entered(peer: Peer, user: Client, version: str = "11", **levels: Any) -> PeerRoom:
    """A room of the peer that the user has joined."""
    room = peer.room(version).furnish(**levels)
    await join(user, room.room_id)
    return room


async def heard(room: PeerRoom, event_id: str) -> None:
    """Return when the peer has an event of ours."""

    async def is_here() -> bool:
        return event_id in room.events

    await until(is_here)


async def shown(user: Client, room_id: str, event_id: str) -> list[str]:
    """By which ways a client gets to see an event."""
    ways = {
        "event": path("rooms", room_id, "event", event_id),
        "context": path("rooms", room_id, "context", event_id),
        "messages back": path("rooms", room_id, "messages", dir="b", limit=100),
        "messages forth": path("rooms", room_id, "messages", dir="f", limit=100),
        "state": path("rooms", room_id, "state"),
        "members": path("rooms", room_id, "members"),
        "sync": "sync",
        "sync of all state": path("sync", full_state="true"),
        "relations": f"/_matrix/client/v1/rooms/{room_id}/relations/{event_id}",
        "threads": f"/_matrix/client/v1/rooms/{room_id}/threads",
        "notifications": "notifications",
        "initialSync": path("rooms", room_id, "initialSync"),
    }
    found = []
    for name, target in ways.items():
        answer = await user.get(target)
        if event_id in orjson.dumps(answer.json).decode() and answer.status == 200:
            found.append(name)
    return found


@pytest.mark.parametrize("gives", [True, False])
async def test_what_cites_a_rejected_event_shows_nowhere(
    near: Server, peer: Peer, alice: Client, gives: bool
) -> None:
    """Nor does the rejected event, nor one in between, whether another server gives what is cited or not."""
    room = await entered(peer, alice, state_default=50)
    carl = peer.user("carl")
    joined = room.member(carl, "join")
    bad = room.put(room.build("m.room.power_levels", carl, {"users": {}}, ""), rejected=True)
    create, rules, levels = (
        room.state[f"m.room.{name}", ""] for name in ("create", "join_rules", "power_levels")
    )
    content = {"membership": "join", "test": 1}
    auth = [create, rules, bad.event_id, joined.event_id]
    between = room.put(room.build("m.room.member", carl, content, carl, auth=auth), rejected=True)
    auth = [create, levels, between.event_id]
    cites = room.put(room.build("m.room.message", carl, {"body": "x"}, auth=auth), rejected=True)
    if not gives:
        peer.lies["event_auth"] = lambda asked, honest: {"auth_chain": []}
    last = room.say(carl, "good")

    await accept(near, peer, [joined, bad])
    await accept(near, peer, [cites, last])

    assert (await timeline(alice, room.room_id))[-1] == last.event_id
    for event in (bad, between, cites):
        assert await shown(alice, room.room_id, event.event_id) == []


async def test_what_failed_softly_shows_nowhere(near: Server, peer: Peer, alice: Client) -> None:
    """Neither by itself, nor by what it would have done to other events."""
    room = await entered(peer, alice, users={peer.user(): 100, alice.user_id: 100})
    mallory = peer.user("mallory")
    came = room.member(mallory, "join")
    await accept(near, peer, [came])
    target = await alice.say(room.room_id, "target")

    def related(kind: str, relation: str, **more: Any) -> Event:
        relates = {"rel_type": relation, "event_id": target}
        relates |= {"key": "+"} if relation == "m.annotation" else {}
        text = {"msgtype": "m.text", "body": alice.user_id, "m.relates_to": relates, **more}
        return room.build(kind, mallory, text, prev=[came.event_id])

    events = [
        related("m.room.message", "m.thread", **{"m.mentions": {"user_ids": [alice.user_id]}}),
        related("m.reaction", "m.annotation"),
        related("m.room.message", "m.replace", **{"m.new_content": {"msgtype": "m.text", "body": "!"}}),
        room.build("org.thing", mallory, {"x": 1}, mallory, prev=[came.event_id]),
        room.build("m.room.redaction", mallory, {"redacts": came.event_id}, prev=[came.event_id]),
        room.build("m.room.member", mallory, {"membership": "join", "x": 1}, mallory, prev=[came.event_id]),
    ]
    (await alice.post(path("rooms", room.room_id, "ban"), {"user_id": mallory})).ok()

    await accept(near, peer, events)

    for event in events:
        assert await shown(alice, room.room_id, event.event_id) == []
    unsigned = [
        (await alice.get(path("rooms", room.room_id, "event", event_id))).ok().get("unsigned", {})
        for event_id in (target, came.event_id)
    ]
    assert "m.relations" not in unsigned[0] and "redacted_because" not in unsigned[1]
    relations = await alice.get(f"/_matrix/client/v1/{path('rooms', room.room_id, 'relations', target)}")
    assert relations.ok()["chunk"] == []
    assert (await alice.state(room.room_id, "m.room.member", mallory)).ok()["membership"] == "ban"


async def test_what_was_dropped_may_come_again(near: Server, peer: Peer, alice: Client) -> None:
    """An event that nobody would found is taken when it comes after the one before it."""
    room = await entered(peer, alice)
    first, second = room.say(peer.user(), "first"), room.say(peer.user(), "second")
    for name in ("get_missing_events", "state_ids", "state", "event", "event_auth", "backfill"):
        peer.lies[name] = lambda asked, honest: {}
    await accept(near, peer, [second])
    assert second.event_id not in await timeline(alice, room.room_id)
    await accept(near, peer, [first])
    await accept(near, peer, [second])
    assert (await timeline(alice, room.room_id))[-2:] == [first.event_id, second.event_id]


async def test_a_chain_with_a_hole_is_not_believed(near: Server, peer: Peer, alice: Client) -> None:
    """Of a state that others tell, nothing is taken that goes back to an event which nobody gives."""
    room = await entered(peer, alice, state_default=0)
    bob = peer.user("bob")
    known = room.member(bob, "join")
    await accept(near, peer, [known])
    for n in range(30):
        await heard(room, await alice.set_state(room.room_id, "org.pad", {}, str(n)))
    chain = [room.member(bob, membership) for membership in ("leave", "join", "leave", "join", "leave")]
    lost = chain[1].event_id
    last = room.say(peer.user(), "last")

    def lose(asked: Asked, honest: Any) -> Any:
        return TransportAnswer(404, {}, b"{}") if asked.parts[0] == lost else honest

    peer.lies |= {"event": lose, "get_missing_events": lambda asked, honest: {"events": []}}
    peer.lies |= dict.fromkeys(("state", "event_auth"), lambda asked, honest: {})

    await accept(near, peer, [last])

    assert any(asked.name == "event" and asked.parts[0] == lost for asked in peer.asked)
    target = path("rooms", room.room_id, "state", "m.room.member", bob, format="event")
    assert (await alice.get(target)).ok()["event_id"] in (known.event_id, chain[0].event_id)


async def test_history_before_a_timeline_has_all_that_came_before(
    near: Server, peer: Peer, alice: Client
) -> None:
    """Where a timeline begins with an event from a side line, higher ones that came earlier are not passed over."""
    bob = await near.register("bob")
    room = await entered(peer, alice)
    await join(bob, room.room_id)
    await bob.sync()
    await heard(room, await alice.say(room.room_id, "all have this"))
    late = room.say(peer.user(), "late")
    ids = [await alice.say(room.room_id, f"{n}") for n in range(4)]
    await accept(near, peer, [late])
    ids += [await alice.say(room.room_id, f"{n}") for n in range(4, 7)]
    fresh = await near.login("alice")
    few = orjson.dumps({"room": {"timeline": {"limit": 4}}}).decode()
    for user in (bob, fresh):
        block = (await user.sync(filter=few))["rooms"]["join"][room.room_id]["timeline"]
        assert [event["event_id"] for event in block["events"]] == [late.event_id, *ids[4:]]
        target = path("rooms", room.room_id, "messages", dir="b", limit=4, **{"from": block["prev_batch"]})
        page = (await bob.get(target)).ok()
        assert [event["event_id"] for event in page["chunk"]] == ids[3::-1]


async def test_a_state_that_came_from_a_side_line_is_told(near: Server, peer: Peer, alice: Client) -> None:
    """Though the timeline is cut, and its last event is filtered out."""
    room = await entered(peer, alice)
    await heard(room, await alice.say(room.room_id, "1"))
    name = room.send("m.room.name", peer.user(), {"name": "Side"}, "")
    await alice.say(room.room_id, "2")
    await accept(near, peer, [name])
    await alice.send(room.room_id, "org.unwanted", {})
    wanted = orjson.dumps({"room": {"timeline": {"limit": 1, "not_types": ["org.unwanted"]}}}).decode()
    block = (await alice.sync(filter=wanted))["rooms"]["join"][room.room_id]
    found = {event["event_id"] for event in (*block["state"]["events"], *block["timeline"]["events"])}
    assert name.event_id in found


async def test_what_only_others_have_is_redacted(near: Server, peer: Peer, alice: Client) -> None:
    """By who has the power over all events: other servers hear of it, and here it is redacted when it comes."""
    room = await entered(peer, alice, users={peer.user(): 100, alice.user_id: 50})
    bob = await near.register("bob")
    await join(bob, room.room_id)
    other = await alice.say(await alice.create_room(), "elsewhere")
    first = room.say(peer.user(), "unheard of")
    target = path("rooms", room.room_id, "redact", first.event_id, "t")
    (await bob.put(target)).error(404, "M_NOT_FOUND")
    (await alice.put(path("rooms", room.room_id, "redact", other, "t"))).error(404, "M_NOT_FOUND")

    await heard(room, (await alice.put(target)).ok()["event_id"])
    await accept(near, peer, [first])

    found = (await alice.get(path("rooms", room.room_id, "event", first.event_id))).ok()
    assert found["content"] == {}


async def test_what_was_missed_between_two_stays_is_fetched(near: Server, peer: Peer, alice: Client) -> None:
    """From where the timeline after the second join begins."""
    room = await entered(peer, alice)
    await heard(room, await alice.say(room.room_id, "first stay"))
    await alice.leave(room.room_id)

    async def is_gone() -> bool:
        return room.events[room.state["m.room.member", alice.user_id]].content["membership"] == "leave"

    await until(is_gone)
    await alice.sync()
    missed = [room.say(peer.user(), f"missed {n}").event_id for n in range(3)]
    await join(alice, room.room_id)
    for user in (await near.login("alice"), alice):
        block = (await user.sync())["rooms"]["join"][room.room_id]["timeline"]
        assert block["limited"] and len(block["events"]) == 1
    target = path("rooms", room.room_id, "messages", dir="b", limit=3, **{"from": block["prev_batch"]})
    assert [event["event_id"] for event in (await alice.get(target)).ok()["chunk"]] == missed[::-1]
