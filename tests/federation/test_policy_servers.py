"""Policy servers, as the members of a room notice them."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from chamberlain.config.well_known import WellKnown
from chamberlain.federation import policy_servers
from chamberlain.federation.policy_servers import PATH, REST_S, TIMEOUT_S, AskedPolicyServers
from chamberlain.federation.transport import TransportAnswer
from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_signatures import SignedForm
from chamberlain.matrix.events import Event
from chamberlain.matrix.policy import KEY_ID, PolicyServer, has_signed
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.matrix.signing import SigningKey
from chamberlain.rooms.pipeline.away import AT_ONCE
from chamberlain.rooms.pipeline.chain import PREV_EVENTS
from chamberlain.store.events import find_event
from tests.federation.test_accept import accept, enter, timeline
from tests.support.clock import FakeClock
from tests.support.event_room import ALICE, Room
from tests.support.nobody import NoClient
from tests.support.peer import Asked, Peer
from tests.support.peer_room import PeerRoom
from tests.support.server import Client, Server, until
from tests.support.wire import Passing, Wire

KEY = SigningKey(bytes(range(1, 33)), "policy_server")
POLICY = {"via": "peer.test", "public_keys": {"ed25519": KEY.verify_key().to_base64()}}
PEER = PolicyServer("peer.test", KEY.verify_key())


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """A server made by hand, which is a policy server too: it signs whatever does not hold the word spam."""
    made = Peer.on(wire, "peer.test")

    def sign(asked: Asked, _: Any) -> Any:
        room = made.rooms[asked.body["room_id"]]
        event = Event.from_dict(asked.body, room.version)
        if "spam" in str(event.content):
            return TransportAnswer(400, {}, b'{"errcode":"M_FORBIDDEN","error":"We do not like it"}')
        return {"peer.test": {KEY_ID: KEY.sign(SignedForm(event).message)}}

    made.lies["sign"] = sign
    return made


@pytest.fixture
async def room(near: Server, alice: Client, peer: Peer) -> PeerRoom:
    """A room with a policy server, in which Alice has power."""
    made = peer.room("11").furnish(users={peer.user(): 100, alice.user_id: 99})
    made.send("m.room.policy", peer.user(), POLICY, state_key="")
    await enter(near, peer, made, alice)
    return made


def asked(peer: Peer) -> list[str]:
    """The types of the events that the policy server was asked to sign."""
    return [one.body["type"] for one in peer.asked if one.name == "sign"]


async def stored(server: Server, event_id: str) -> Event:
    """The event as the server has it."""
    found = await server.app.services.db.read(find_event, event_id)
    assert found is not None
    return found[0]


async def test_what_we_send_is_signed_first(near: Server, alice: Client, peer: Peer, room: PeerRoom) -> None:
    """Messages and state; not the event that names the policy server, so that it can always be got rid of."""
    message = await alice.say(room.room_id, "hello")
    name = await alice.set_state(room.room_id, "m.room.name", {"name": "A room"})

    assert asked(peer) == ["m.room.message", "m.room.name"]
    for event_id in (message, name):
        event = await stored(near, event_id)
        assert has_signed(event, PEER)
        assert SignedForm(event).signatures_of("near.test")
    await until(lambda: _has_come(peer, "m.room.name"))
    assert all(KEY_ID in pdu["signatures"]["peer.test"] for pdu in _come(peer))
    gone = await alice.set_state(room.room_id, "m.room.policy", {})
    after = await alice.say(room.room_id, "no spam")
    assert asked(peer) == ["m.room.message", "m.room.name"]
    assert (await timeline(alice, room.room_id))[-4:] == [message, name, gone, after]


async def test_what_it_refuses_is_not_sent(near: Server, alice: Client, peer: Peer, room: PeerRoom) -> None:
    """The sender reads its words; those who send at the same time are not held up."""
    before = await timeline(alice, room.room_id)

    answers = await asyncio.gather(
        *(
            alice.put(f"rooms/{room.room_id}/send/m.room.message/t{n}", {"msgtype": "m.text", "body": body})
            for n, body in enumerate(("hello", "spam", "there"))
        )
    )

    assert answers[1].error(400, "M_FORBIDDEN")["error"] == "We do not like it"
    sent = [answers[0].ok()["event_id"], answers[2].ok()["event_id"]]
    assert await timeline(alice, room.room_id) == before + sent


class Held:
    """The policy server's answers wait to be let go."""

    def __init__(self, wire: Wire) -> None:
        self.asked = 0
        self._go = asyncio.Semaphore(0)
        wire.before = self._before

    async def _before(self, passing: Passing) -> None:
        if passing.target == PATH:
            self.asked += 1
            await self._go.acquire()

    def let_go(self, answers: int = 1_000) -> None:
        """So many answers may come."""
        for _ in range(answers):
            self._go.release()

    async def has_been_asked(self, times: int = 1) -> None:
        """Wait for so many questions."""

        async def enough() -> bool:
            return self.asked >= times

        await until(enough, seconds=60)


@pytest.fixture
def held(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Held:
    """A policy server that takes its time, and is given it."""
    monkeypatch.setattr(policy_servers, "TIMEOUT_S", 300.0)
    return Held(wire)


async def test_the_room_goes_on_while_it_is_asked(
    held: Held, near: Server, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """Others' events come in; what was signed for another place in the room then is on a fork, once."""
    path = f"rooms/{room.room_id}/send/m.room.message/once"
    sending = asyncio.ensure_future(alice.put(path, {"msgtype": "m.text", "body": "hello"}))
    await held.has_been_asked()

    signed = _signed(room, room.build("m.room.message", peer.user(), {"body": "meanwhile"}))
    room.put(signed)
    await accept(near, peer, [signed])
    assert (await timeline(alice, room.room_id))[-1] == signed.event_id
    assert not sending.done()
    repeated = asyncio.ensure_future(alice.put(path, {"msgtype": "m.text", "body": "hello"}))
    held.let_go()

    sent = (await sending).ok()["event_id"]
    assert (await repeated).ok() == {"event_id": sent}
    assert (await timeline(alice, room.room_id))[-2:] == [signed.event_id, sent]
    assert signed.event_id not in (await stored(near, sent)).prev_events
    await until(lambda: _has_come(peer, "m.room.message"))
    own = (await alice.get(f"rooms/{room.room_id}/event/{sent}")).ok()
    assert own["unsigned"]["transaction_id"] == "once"
    # After a restart the database tells.
    near.app.services.rooms.submit._txns.clear()
    held.asked = 0
    assert (await alice.put(path, {"msgtype": "m.text", "body": "hello"})).ok() == {"event_id": sent}
    assert (await stored(near, await alice.say(room.room_id, "after"))).prev_events == (signed.event_id, sent)


async def test_it_can_be_got_rid_of_while_it_hangs(
    held: Held, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """And whoever sends after that does not wait for those who wait."""
    sending = asyncio.ensure_future(alice.say(room.room_id, "hello"))
    await held.has_been_asked()

    gone = await alice.set_state(room.room_id, "m.room.policy", {})
    after = await alice.say(room.room_id, "after")
    assert (await timeline(alice, room.room_id))[-2:] == [gone, after]

    held.let_go()
    sent = await sending
    assert sorted((await timeline(alice, room.room_id))[-3:]) == sorted([gone, after, sent])


async def test_state_that_was_overtaken(
    held: Held, near: Server, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """The room's state is what both come to; who may not any more when the answer comes is refused."""
    naming = asyncio.ensure_future(alice.set_state(room.room_id, "m.room.name", {"name": "A room"}))
    await held.has_been_asked()
    topic = _signed(room, room.build("m.room.topic", peer.user(), {"topic": "Tea"}, state_key=""))
    room.put(topic)
    await accept(near, peer, [topic])
    held.let_go(1)
    await naming
    assert (await alice.state(room.room_id, "m.room.name")).ok() == {"name": "A room"}
    assert (await alice.state(room.room_id, "m.room.topic")).ok() == {"topic": "Tea"}

    before = await timeline(alice, room.room_id)
    sending = asyncio.ensure_future(
        alice.put(f"rooms/{room.room_id}/send/m.room.message/once", {"body": "hello"})
    )
    await held.has_been_asked(2)
    ban = _signed(
        room, room.build("m.room.member", peer.user(), {"membership": "ban"}, state_key=alice.user_id)
    )
    room.put(ban)
    await accept(near, peer, [ban])
    held.let_go()
    (await sending).error(403, "M_FORBIDDEN")
    assert await timeline(alice, room.room_id) == [*before, ban.event_id]


async def test_as_many_as_may_be_away_come_back(
    held: Held, near: Server, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """With others behind them, in a room where nothing else happens."""
    before = await timeline(alice, room.room_id)
    sending = [asyncio.ensure_future(alice.say(room.room_id, f"message {n}")) for n in range(2 * AT_ONCE)]
    await held.has_been_asked(AT_ONCE)
    held.let_go()
    sent = await asyncio.gather(*sending)
    assert sorted(await timeline(alice, room.room_id)) == sorted([*before, *sent])


async def test_many_who_send_at_once(
    held: Held, near: Server, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """It is asked about some of them at a time, and all are sent."""
    before = await timeline(alice, room.room_id)
    sending = [asyncio.ensure_future(alice.say(room.room_id, f"message {n}")) for n in range(AT_ONCE + 5)]
    await held.has_been_asked(AT_ONCE)
    # Whoever needs no signature is not behind them.
    same = await alice.set_state(room.room_id, "m.room.policy", POLICY | {"more": True})
    assert held.asked == AT_ONCE

    held.let_go()
    sent = await asyncio.gather(*sending)
    assert len(set(sent)) == AT_ONCE + 5
    assert sorted(await timeline(alice, room.room_id)) == sorted([*before, same, *sent])
    last = await stored(near, await alice.say(room.room_id, "after"))
    assert len(last.prev_events) <= PREV_EVENTS


async def test_one_that_does_not_sign_well(alice: Client, peer: Peer, room: PeerRoom) -> None:
    """Another key than the room names, nonsense, errors about us, silence: nothing is sent."""
    before = await timeline(alice, room.room_id)
    wrong = {"peer.test": {KEY_ID: "A" * 86}}
    for place, (answer, status, errcode) in enumerate(
        (
            (wrong, 403, "M_FORBIDDEN"),
            (TransportAnswer(401, {}, b'{"errcode":"M_UNKNOWN_TOKEN"}'), 403, "M_FORBIDDEN"),
            (TransportAnswer(404, {}, b'{"errcode":"M_UNRECOGNIZED"}'), 403, "M_FORBIDDEN"),
            (TransportAnswer(418, {}, b'{"errcode":"ORG.EXAMPLE.TEA"}'), 403, "M_FORBIDDEN"),
            (TransportAnswer(429, {}, b'{"errcode":"M_LIMIT_EXCEEDED"}'), 429, "M_LIMIT_EXCEEDED"),
            (TransportAnswer(200, {}, b"[]"), 502, "M_UNKNOWN"),
        )
    ):
        peer.lies["sign"] = lambda asked, honest, answer=answer: answer
        sent = await alice.put(f"rooms/{room.room_id}/send/m.room.message/t{place}", {"body": "hello"})
        sent.error(status, errcode)
    assert await timeline(alice, room.room_id) == before


async def test_rooms_that_use_no_policy_server(near: Server, alice: Client, peer: Peer) -> None:
    """Because none is named, or because it has left."""
    plain = peer.room("11").furnish(users={peer.user(): 100, alice.user_id: 100})
    await enter(near, peer, plain, alice)
    own = await alice.create_room(
        initial_state=[{"type": "m.room.policy", "state_key": "", "content": POLICY}], name="Mine"
    )
    await alice.set_state(plain.room_id, "m.room.policy", POLICY | {"via": "gone.test"})

    for room_id in (plain.room_id, own):
        await alice.say(room_id, "spam")
    await accept(near, peer, [plain.build("m.room.message", peer.user(), {"body": "spam"})])

    assert asked(peer) == []
    assert len(await timeline(alice, plain.room_id)) > 3


async def test_what_comes_in_is_checked(near: Server, alice: Client, peer: Peer, room: PeerRoom) -> None:
    """A good signature is enough; without one the policy server is asked, and what it refuses is not shown."""
    peer.asked.clear()
    signed = room.build("m.room.message", peer.user(), {"body": "spam, but signed"})
    signed = _signed(room, signed)
    room.put(signed)
    await accept(near, peer, [signed])
    assert asked(peer) == []

    unsigned = room.send("m.room.message", peer.user(), {"body": "hello"})
    spam = room.build("m.room.name", peer.user(), {"name": "spam"}, state_key="")
    after = room.send("m.room.message", peer.user(), {"body": "after"})
    await accept(near, peer, [unsigned, spam, after])

    assert sorted(asked(peer)) == ["m.room.message", "m.room.message", "m.room.name"]
    assert (await timeline(alice, room.room_id))[-3:] == [signed.event_id, unsigned.event_id, after.event_id]
    assert has_signed(await stored(near, unsigned.event_id), PEER)
    (await alice.state(room.room_id, "m.room.name")).error(404, "M_NOT_FOUND")
    mine = await stored(near, await alice.say(room.room_id, "mine"))
    assert mine.prev_events == (after.event_id,)


async def test_what_is_refused_at_the_head_is_not_built_on(
    near: Server, alice: Client, peer: Peer, room: PeerRoom
) -> None:
    """It stays aside, in memory and after it is looked at again; what others build on it is taken."""
    spam = room.build("m.room.message", peer.user(), {"body": "spam"})
    before = await timeline(alice, room.room_id)
    for _ in range(2):
        await accept(near, peer, [spam])
    assert await timeline(alice, room.room_id) == before

    room.put(spam)
    after = room.send("m.room.message", peer.user(), {"body": "after"})
    await accept(near, peer, [after])

    assert await timeline(alice, room.room_id) == [*before, after.event_id]


async def test_one_that_gives_no_answer_rests() -> None:
    """The room does not wait for it again and again; after a while it is asked once more."""
    clock = FakeClock()

    class Counting(NoClient):
        calls = 0

        async def request(
            self, destination: str, method: str, target: str, body: Any = None, **how: Any
        ) -> bytes:
            Counting.calls += 1
            assert how["timeout"] == TIMEOUT_S
            raise Unreachable(destination, "there is nobody")

    servers = AskedPolicyServers(Counting(), clock)
    event = Room().build("m.room.message", ALICE, {"body": "hello"})
    for seconds, calls in ((0, 1), (REST_S / 2, 1), (REST_S, 2)):
        await clock.advance(seconds)
        with pytest.raises(MatrixError) as raised:
            await servers.sign(PEER, event)
        assert raised.value.status == 502
        assert Counting.calls == calls


async def test_clients_find_the_key_of_a_policy_server(wire: Wire, near: Server, tmp_path: Path) -> None:
    """As the settings say; 404 where there is none."""
    where = "/.well-known/matrix/policy_server"
    (await near.anonymous.get(where)).error(404, "M_NOT_FOUND")
    key = KEY.verify_key().to_base64()
    named = await wire.add("named.test", tmp_path, well_known=WellKnown(policy_server_key=key))
    assert (await named.anonymous.get(where)).ok() == {"public_keys": {"ed25519": key}}


def _come(peer: Peer) -> list[Any]:
    return [pdu for transaction in peer.transactions for pdu in transaction["pdus"]]


async def _has_come(peer: Peer, kind: str) -> bool:
    return any(pdu["type"] == kind for pdu in _come(peer))


def _signed(room: PeerRoom, event: Event) -> Event:
    """The event with the policy server's signature."""
    signatures = _with(event, {KEY_ID: KEY.sign(SignedForm(event).message)})
    return Event.from_dict(orjson.loads(event.pdu) | {"signatures": signatures}, room.version)


def _with(event: Event, more: dict[str, str]) -> Any:
    signatures = orjson.loads(event.pdu)["signatures"]
    signatures["peer.test"] = signatures["peer.test"] | more
    return signatures
