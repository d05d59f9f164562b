"""What happens in rooms reaches the other servers in them."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.store import outbox, outbox_queue
from chamberlain.store.tx import Write
from tests.support.clock import FakeClock
from tests.support.peer import Asked, Peer
from tests.support.remote_members import join_as, set_membership
from tests.support.server import Client, Server, path, until
from tests.support.wire import Passing, Wire

HOUR = 3_600.0


@pytest.fixture
def peer(wire: Wire, clock: FakeClock) -> Peer:
    """The server `peer.test`, which only listens."""
    return Peer.on(wire, "peer.test", now=clock.now)


@pytest.fixture
async def near(wire: Wire, tmp_path: Path, clock: FakeClock) -> Server:
    """The server `near.test`, with a clock that stands."""
    return await wire.add("near.test", tmp_path, clock=clock)


@pytest.fixture
async def room(near: Server, peer: Peer, alice: Client) -> str:
    """A public room of `alice` with `@eve:peer.test` in it, of which the peer has heard nothing yet."""
    room_id = await alice.create_room(preset="public_chat")
    await join_as(near, room_id, peer.user())
    await settle(near)
    return room_id


def said_to(peer: Peer) -> list[Any]:
    """The texts of the messages that a peer was sent, in order."""
    return [
        pdu["content"]["body"]
        for txn in peer.transactions
        for pdu in txn["pdus"]
        if pdu["type"] == "m.room.message"
    ]


def edus_to(peer: Peer, kind: str) -> list[Any]:
    """The contents of the EDUs of a type that a peer was sent, in order."""
    return [edu["content"] for txn in peer.transactions for edu in txn["edus"] if edu["edu_type"] == kind]


def members_to(peer: Peer) -> list[tuple[str, str]]:
    """(user, membership) of the member events that a peer was sent, in order."""
    return [
        (pdu["state_key"], pdu["content"]["membership"])
        for txn in peer.transactions
        for pdu in txn["pdus"]
        if pdu["type"] == "m.room.member"
    ]


async def until_said(peer: Peer, *texts: str) -> None:
    """Return when the peer was sent exactly these messages."""

    async def done() -> bool:
        return len(said_to(peer)) >= len(texts)

    try:
        await until(done)
    finally:
        assert said_to(peer) == list(texts)


async def pass_time(clock: FakeClock, seconds: float, condition: Any) -> None:
    """Let time pass until `condition()` is true, at most `seconds` in 200 steps, with some real time for each."""
    for _ in range(200):
        if condition():
            return
        await clock.advance(seconds / 200)
        await asyncio.sleep(0.01)
    raise AssertionError("the condition never came true")


async def settle(server: Server) -> None:
    """Return when nothing waits to be sent, but to those that rest."""
    outbound = server.app.services.federation.outbound

    async def is_quiet() -> bool:
        figures = outbound.figures()
        return figures.shards > 0 and figures.unread == 0 and figures.destinations == figures.resting

    await until(is_quiet)


# ------------------------------------------------------------------------------------------------- transactions


async def test_messages_arrive_in_order(room: str, peer: Peer, alice: Client) -> None:
    """One after the other, and nothing twice."""
    for number in range(10):
        await alice.say(room, str(number))

    await until_said(peer, *map(str, range(10)))
    assert all(txn["origin"] == "near.test" for txn in peer.transactions)


async def test_a_transaction_is_bounded_and_alone(room: str, peer: Peer, alice: Client) -> None:
    """At most 50 events each, and the next one begins when the one before was answered."""
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def slowly(asked: Asked, honest: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return honest

    peer.lies["send"] = slowly
    texts = [str(number) for number in range(120)]
    for text in texts:
        await alice.say(room, text)
        await until(lambda: truth(bool(peer.transactions)))
    go_on.set()

    await until_said(peer, *texts)
    assert most == 1
    assert [len(txn["pdus"]) for txn in peer.transactions] == [1, 50, 50, 19]


async def test_more_than_memory_holds_arrives_all_the_same(room: str, peer: Peer, alice: Client) -> None:
    """A slow server gets everything, in order, from the database."""
    go_on = asyncio.Event()

    async def slowly(asked: Asked, honest: Any) -> Any:
        await go_on.wait()
        return honest

    peer.lies["send"] = slowly
    texts = [str(number) for number in range(450)]
    for text in texts:
        await alice.say(room, text)
    assert peer.transactions[1:] == []
    go_on.set()
    await until_said(peer, *texts)


async def test_big_transactions_are_split(room: str, peer: Peer, alice: Client) -> None:
    """Fifty events can be more than a server takes at once."""
    go_on = asyncio.Event()

    async def slowly(asked: Asked, honest: Any) -> Any:
        await go_on.wait()
        return honest

    peer.lies["send"] = slowly
    texts = [f"{number:03}" + "x" * 60_000 for number in range(100)]
    for text in texts:
        await alice.say(room, text)
    go_on.set()

    await until_said(peer, *texts)
    assert all(sum(len(str(pdu)) for pdu in txn["pdus"]) < 4.5 * 1024 * 1024 for txn in peer.transactions)


async def test_a_lost_answer_is_asked_for_again(
    wire: Wire, clock: FakeClock, room: str, peer: Peer, alice: Client
) -> None:
    """The same transaction, to the letter, whatever was said meanwhile."""
    lose = True

    async def after(passing: Passing) -> None:
        if lose and passing.destination == "peer.test":
            raise Unreachable("peer.test", "the answer is lost")

    wire.after = after
    await alice.say(room, "one")
    await until_said(peer, "one")
    await alice.say(room, "two")
    lose = False
    await pass_time(clock, 60, lambda: len(peer.transactions) >= 3)

    sent = [passing for passing in wire.passed if "/send/" in passing.target]
    assert sent[0].target == sent[1].target and sent[0].body == sent[1].body
    assert sent[2].target != sent[1].target
    assert said_to(peer) == ["one", "one", "two"]


async def test_after_a_crash_the_same_transaction_is_repeated(
    wire: Wire, tmp_path: Path, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """Killed between the sending and the answer, and with more to send: nothing is lost."""
    stuck = asyncio.Event()

    async def never(asked: Asked, honest: Any) -> Any:
        await stuck.wait()
        return honest

    peer.lies["send"] = never
    await alice.say(room, "one")
    await until_said(peer, "one")
    await alice.say(room, "two")
    shutil.copytree(tmp_path / "near.test", tmp_path / "copy" / "near.test")
    peer.lies.clear()
    peer.transactions.clear()
    await wire.add("near.test", tmp_path / "copy", clock=clock)

    async def has_heard_all() -> bool:
        return "two" in said_to(peer)

    await until(has_heard_all)
    # How far a server was told is saved in a while: an event may come once more, which its id makes harmless.
    assert set(said_to(peer)) == {"one", "two"}
    sent = [passing for passing in wire.passed if "/send/" in passing.target]
    assert sent[0].target == sent[1].target and sent[0].body == sent[1].body
    stuck.set()
    await near.stop()


async def test_what_comes_while_the_sender_starts_goes_one_after_the_other(
    wire: Wire,
    tmp_path: Path,
    clock: FakeClock,
    near: Server,
    room: str,
    peer: Peer,
    alice: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transaction under way from before the start is not joined by a second one."""
    under_way = most = 0

    async def count(asked: Asked, honest: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return honest

    peer.lies["send"] = lambda asked, honest: TransportAnswer(503, {}, b"{}")
    await alice.say(room, "one")
    await until_said(peer, "one")
    await near.stop()
    forget = outbox_queue.forget_ended

    async def meanwhile(tx: Write, *arguments: Any) -> None:
        outbox.add_edu(tx, "peer.test", b'{"content":{"is":"new"},"edu_type":"test.edu"}')
        await forget(tx, *arguments)

    monkeypatch.setattr(outbox_queue, "forget_ended", meanwhile)
    peer.lies["send"] = count
    peer.transactions.clear()
    await clock.advance(60)
    again = await wire.add("near.test", tmp_path, clock=clock)

    async def has_all() -> bool:
        return bool(said_to(peer) and edus_to(peer, "test.edu"))

    await until(has_all)
    await settle(again)
    assert said_to(peer) == ["one"]
    assert edus_to(peer, "test.edu") == [{"is": "new"}]
    assert most == 1


async def test_what_was_not_begun_survives_a_stop(
    wire: Wire, tmp_path: Path, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """A server that stops sends the rest after its next start."""
    wire.part("peer.test")
    await alice.say(room, "one")
    await alice.say(room, "two")
    await near.stop()
    wire.heal()
    await wire.add("near.test", tmp_path, clock=clock)
    await pass_time(clock, 60, lambda: len(said_to(peer)) >= 2)

    assert said_to(peer) == ["one", "two"]


async def test_errors_of_single_events_end_nothing(room: str, peer: Peer, alice: Client) -> None:
    """What a server refuses is not sent to it again; nor what it refuses as a whole for good."""
    peer.lies["send"] = lambda asked, honest: {
        "pdus": {"$x": {"error": "no"}, "$y": {}, "$z": 1, "$w": {"error": 3}}
    }
    await alice.say(room, "one")
    await until_said(peer, "one")
    peer.lies["send"] = lambda asked, honest: TransportAnswer(400, {}, b"{}")
    await alice.say(room, "two")
    await until_said(peer, "one", "two")
    peer.lies["send"] = lambda asked, honest: TransportAnswer(200, {}, b"[")
    await alice.say(room, "three")
    await until_said(peer, "one", "two", "three")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
async def test_a_refusal_for_now_is_tried_again(
    clock: FakeClock, room: str, peer: Peer, alice: Client, status: int
) -> None:
    """After a wait, with the same transaction."""
    peer.lies["send"] = lambda asked, honest: TransportAnswer(status, {}, b"{}")
    await alice.say(room, "one")
    await until_said(peer, "one")
    await clock.advance(1)
    assert said_to(peer) == ["one"]
    peer.lies.clear()
    await pass_time(clock, 200, lambda: len(peer.transactions) >= 2)

    assert said_to(peer) == ["one", "one"]
    assert len({asked.parts for asked in peer.asked if asked.name == "send"}) == 1


async def test_a_server_behind_a_proxy_without_it_is_asked_again_soon(
    clock: FakeClock, room: str, peer: Peer, alice: Client
) -> None:
    """It may just be starting: the first wait is as short as where nobody answers."""
    peer.lies["send"] = lambda asked, honest: TransportAnswer(502, {}, b"")
    await alice.say(room, "one")
    await until_said(peer, "one")
    peer.lies.clear()
    await pass_time(clock, 20, lambda: len(peer.transactions) >= 2)


# --------------------------------------------------------------------------------------------------- for whom


async def test_a_kicked_server_hears_of_it_and_of_nothing_later(
    near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """What was said before it gets too."""
    await alice.say(room, "before")
    (await alice.post(path("rooms", room, "kick"), {"user_id": peer.user()})).ok()
    await alice.say(room, "after")
    await settle(near)

    assert said_to(peer) == ["before"]
    assert members_to(peer) == [(peer.user(), "leave")]


@pytest.mark.parametrize("verb", ["kick", "ban"])
async def test_a_server_with_others_in_the_room_stays(
    near: Server, room: str, peer: Peer, alice: Client, verb: str
) -> None:
    """It leaves with its last user, wherever the events stand in a batch."""
    await join_as(near, room, peer.user("mallory"))
    (await alice.post(path("rooms", room, verb), {"user_id": peer.user()})).ok()
    await alice.say(room, "between")
    (await alice.post(path("rooms", room, verb), {"user_id": peer.user("mallory")})).ok()
    await alice.say(room, "after")
    await join_as(near, room, peer.user("trent"))
    await alice.say(room, "again")
    await settle(near)

    assert said_to(peer) == ["between", "again"]


async def test_a_server_is_not_told_of_its_own_events(
    wire: Wire, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """The others are: this server brought the join into the room."""
    third = Peer.on(wire, "third.test", now=clock.now)
    await join_as(near, room, third.user())
    await set_membership(near, room, third.user(), "leave")
    await alice.say(room, "end")
    await until_said(peer, "end")
    await settle(near)

    assert members_to(peer) == [(third.user(), "join"), (third.user(), "leave")]
    assert third.transactions == []


async def test_a_server_gets_nothing_from_before_its_join(
    wire: Wire, clock: FakeClock, near: Server, alice: Client
) -> None:
    """Also where much is looked at together."""
    room = await alice.create_room(preset="public_chat")
    peers = [Peer.on(wire, f"p{number}.test", now=clock.now) for number in range(3)]
    for number, one in enumerate(peers):
        await alice.say(room, str(number))
        await join_as(near, room, one.user())
    await alice.say(room, "end")
    await settle(near)

    assert [said_to(one) for one in peers] == [["1", "2", "end"], ["2", "end"], ["end"]]


async def test_the_end_of_an_invite_is_told(
    near: Server, wire: Wire, clock: FakeClock, alice: Client
) -> None:
    """The server of the invited user is told of that alone."""
    peer = Peer.on(wire, "peer.test", now=clock.now)
    room = await alice.create_room(preset="private_chat")
    # The invite itself goes another way.
    submit = near.app.services.rooms.submit
    await submit.send(alice.user_id, room, "m.room.member", {"membership": "invite"}, state_key=peer.user())
    await alice.say(room, "secret")
    await settle(near)
    assert peer.transactions == []
    (await alice.post(path("rooms", room, "kick"), {"user_id": peer.user()})).ok()
    await alice.say(room, "also secret")
    await settle(near)

    assert [pdu["type"] for txn in peer.transactions for pdu in txn["pdus"]] == ["m.room.member"]
    assert members_to(peer) == [(peer.user(), "leave")]


async def test_servers_that_are_not_talked_to_get_nothing(
    wire: Wire, tmp_path: Path, clock: FakeClock, peer: Peer
) -> None:
    """Nor does anything wait for them."""
    from chamberlain.config.federation import Federation

    server = await wire.add("shy.test", tmp_path, clock=clock, federation=Federation(deny=("peer.test",)))
    carol = await server.register("carol")
    room = await carol.create_room(preset="public_chat")
    await join_as(server, room, peer.user())
    await carol.say(room, "one")
    await server.app.services.db.write(add_edu, "peer.test", b'{"content":{},"edu_type":"x"}')
    await settle(server)

    async def nothing_waits() -> bool:
        return await server.app.services.db.read(outbox.list_edu_destinations) == []

    await until(nothing_waits)
    assert peer.asked == []


async def test_the_servers_in_a_room_are_known(near: Server, room: str, peer: Peer, alice: Client) -> None:
    """At once after each change."""
    servers_in = near.app.services.federation.outbound.servers_in
    assert await servers_in(room) == {"peer.test"}
    await join_as(near, room, "@a:a.test", "@b:a.test")
    assert await servers_in(room) == {"peer.test", "a.test"}
    await set_membership(near, room, "@a:a.test", "leave")
    assert await servers_in(room) == {"peer.test", "a.test"}
    await set_membership(near, room, "@b:a.test", "leave")
    assert await servers_in(room) == {"peer.test"}
    assert await servers_in("!nowhere:near.test") == frozenset()


# ------------------------------------------------------------------------------------------- servers that fail


async def test_dead_servers_do_not_keep_the_living_waiting(
    wire: Wire, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """However many hang: who has answered lately does not wait for them."""
    await alice.say(room, "zero")
    await until_said(peer, "zero")
    hang = asyncio.Event()

    async def hanging(*request: Any) -> TransportAnswer:
        await hang.wait()
        return TransportAnswer(200, {}, b"{}")

    for number in range(250):
        wire.peers[f"dead{number}.test"] = hanging
        await join_as(near, room, f"@d:dead{number}.test")
    await alice.say(room, "one")
    await until_said(peer, "zero", "one")
    under_way = [p for p in wire.passed if p.destination.startswith("dead")]
    assert len(under_way) == 100
    hang.set()


async def test_a_failing_server_is_left_alone_also_after_a_restart(
    wire: Wire, tmp_path: Path, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """Each failure makes the wait longer; who is heard of is tried at once."""
    wire.part("peer.test")
    await alice.say(room, "one")

    def tries() -> int:
        return sum("/send/" in passing.target for passing in wire.passed)

    await pass_time(clock, 4 * HOUR, lambda: tries() >= 8)
    await near.stop()
    near = await wire.add("near.test", tmp_path, clock=clock)
    await clock.advance(60)
    await asyncio.sleep(0.05)
    assert tries() == 8
    wire.heal()
    near.app.services.federation.remotes.availability.heard_of("peer.test")
    await until_said(peer, "one")


async def test_a_short_outage_loses_nothing(
    wire: Wire, clock: FakeClock, room: str, peer: Peer, alice: Client
) -> None:
    """Everything that was said meanwhile arrives, in order."""
    wire.part("peer.test")
    texts = [str(number) for number in range(70)]
    for text in texts:
        await alice.say(room, text)
    await clock.advance(30)
    wire.heal()
    await pass_time(clock, HOUR, lambda: len(said_to(peer)) >= 70)

    assert said_to(peer) == texts


async def test_after_a_long_outage_the_newest_of_each_room_is_sent(
    wire: Wire, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """Not what is stale: the other server asks for what it wants. A room that is over gets what ended it."""
    other = await alice.create_room(preset="public_chat")
    ended = await alice.create_room(preset="public_chat")
    for one in (other, ended):
        await join_as(near, one, peer.user())
    quiet = await alice.create_room(preset="public_chat")
    await join_as(near, quiet, peer.user())
    await alice.say(quiet, "long ago")
    await until_said(peer, "long ago")
    wire.part("peer.test")
    for number in range(60):
        await alice.say(room, f"a{number}")
        await alice.say(other, f"b{number}")
    (await alice.post(path("rooms", ended, "kick"), {"user_id": peer.user()})).ok()
    await alice.say(ended, "not for them")
    await clock.advance(2 * HOUR)
    await alice.say(room, "newest")
    wire.heal()
    await pass_time(clock, 48 * HOUR, lambda: len(said_to(peer)) >= 3)
    await alice.say(other, "and on")
    await until_said(peer, "long ago", "b59", "newest", "and on")

    assert members_to(peer) == [(peer.user(), "leave")]


# --------------------------------------------------------------------------------------------------------- EDUs


async def add_edu(tx: Write, destination: str, edu: bytes, key: str | None = None) -> None:
    """Put an EDU into a queue."""
    outbox.add_edu(tx, destination, edu, key)


async def test_edus_are_sent_once(
    wire: Wire, tmp_path: Path, clock: FakeClock, near: Server, peer: Peer
) -> None:
    """A hundred at a time, also over a restart; of one key the newest."""
    db = near.app.services.db
    wire.part("peer.test")
    for number in range(230):
        await db.write(add_edu, "peer.test", b'{"content":{"n":%d},"edu_type":"m.x"}' % number)
    for number in range(3):
        await db.write(add_edu, "peer.test", b'{"content":{"n":%d},"edu_type":"m.k"}' % number, "k")
    await near.stop()
    wire.heal()
    near = await wire.add("near.test", tmp_path, clock=clock)
    await pass_time(clock, 60, lambda: len(edus_to(peer, "m.k")) >= 1)
    await settle(near)

    assert edus_to(peer, "m.x") == [{"n": number} for number in range(230)]
    assert edus_to(peer, "m.k") == [{"n": 2}]
    assert max(len(txn["edus"]) for txn in peer.transactions) == 100
    assert await near.app.services.db.read(outbox.list_edu_destinations) == []


async def test_typing_is_told(clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client) -> None:
    """That it begins, that it goes on, and that it ends."""
    target = path("rooms", room, "typing", alice.user_id)
    (await alice.put(target, {"typing": True, "timeout": 60_000})).ok()
    await until(lambda: truth(len(edus_to(peer, "m.typing")) == 1))
    await clock.advance(26)
    await until(lambda: truth(len(edus_to(peer, "m.typing")) == 2))
    (await alice.put(target, {"typing": False})).ok()
    await until(lambda: truth(len(edus_to(peer, "m.typing")) == 3))

    told = [(edu["user_id"], edu["typing"]) for edu in edus_to(peer, "m.typing")]
    assert told == [(alice.user_id, True), (alice.user_id, True), (alice.user_id, False)]
    assert {edu["room_id"] for edu in edus_to(peer, "m.typing")} == {room}


async def test_public_receipts_are_told(
    clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """Gathered by room, with their threads; private ones stay here."""
    event = await alice.say(room, "one")
    root = await alice.say(room, "root")
    reply = await alice.say(room, "reply", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    for kind, target, body in (
        ("m.read", event, {}),
        ("m.read", reply, {"thread_id": root}),
        ("m.read.private", reply, {}),
    ):
        (await alice.post(path("rooms", room, "receipt", kind, target), body)).ok()
    await pass_time(clock, 5, lambda: edus_to(peer, "m.receipt"))

    plain, threaded = (edu[room]["m.read"][alice.user_id] for edu in edus_to(peer, "m.receipt"))
    assert plain == {"data": {"ts": plain["data"]["ts"]}, "event_ids": [event]}
    assert threaded["data"]["thread_id"] == root and threaded["event_ids"] == [reply]
    assert "private" not in str(peer.transactions)


async def test_presence_is_told(
    wire: Wire, clock: FakeClock, near: Server, room: str, peer: Peer, alice: Client
) -> None:
    """To the servers that share a room, to those that come, and nothing of users of other servers."""
    await settle(near)
    (
        await alice.put(path("presence", alice.user_id, "status"), {"presence": "online", "status_msg": "hi"})
    ).ok()
    await pass_time(clock, 5, lambda: edus_to(peer, "m.presence"))
    ((push,),) = (edu["push"] for edu in edus_to(peer, "m.presence"))
    assert push["user_id"] == alice.user_id and push["presence"] == "online" and push["status_msg"] == "hi"

    third = Peer.on(wire, "third.test", now=clock.now)
    await join_as(near, room, third.user())
    await pass_time(clock, 5, lambda: edus_to(third, "m.presence"))
    assert edus_to(third, "m.presence")[0]["push"][0]["user_id"] == alice.user_id


async def test_what_is_old_is_not_told(
    wire: Wire, clock: FakeClock, room: str, peer: Peer, alice: Client
) -> None:
    """Who typed before an outage of minutes is of no interest after it; what was said is."""
    wire.part("peer.test")
    (await alice.put(path("rooms", room, "typing", alice.user_id), {"typing": True, "timeout": 5_000})).ok()
    await alice.say(room, "one")
    await clock.advance(600)
    wire.heal()
    await pass_time(clock, HOUR, lambda: said_to(peer))

    assert edus_to(peer, "m.typing") == []


async def truth(value: bool) -> bool:
    """As a condition that `until` takes."""
    return value
