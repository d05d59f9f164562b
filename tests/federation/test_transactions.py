"""Transactions of other servers are taken once, and answered when they are safe."""

import asyncio
from typing import Any

import orjson
import pytest

from chamberlain.federation.inbound import transactions
from chamberlain.matrix.remote_errors import Unreachable
from chamberlain.store import staged
from chamberlain.store.tx import Read
from tests.support.peer import Peer
from tests.support.server import Client, Server, until
from tests.support.sharing import message, seat
from tests.support.wire import Passing, Wire

NEAR = "near.test"


@pytest.fixture
def peer(wire: Wire) -> Peer:
    """The server `peer.test`."""
    return Peer.on(wire, "peer.test")


@pytest.fixture
async def room(near: Server, alice: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public room of Alice's, to which Eve of `peer.test` is joined; what is staged stays so."""
    queues = near.app.services.federation.inbound.room_queues
    monkeypatch.setattr(queues, "wake", lambda room_id: None)
    room_id = await alice.create_room(preset="public_chat")
    await seat(near, room_id, peer.user())
    return room_id


async def waiting(server: Server) -> list[tuple[str, str, list[str]]]:
    """(origin, room, event ids) of everything that is staged, in order."""

    async def rows(tx: Read) -> list[tuple[str, str, list[str]]]:
        found = await tx.all("SELECT origin, room_id, event_ids FROM staged_pdus ORDER BY position")
        return [(row[0], row[1], orjson.loads(row[2])) for row in found]

    return await server.app.services.db.read(rows)


async def test_pdus_are_staged_by_room_and_named_in_the_answer(
    near: Server, alice: Client, peer: Peer, room: str
) -> None:
    """Each PDU has its place in the answer; those of one room are staged together, in order."""
    other = await alice.create_room(preset="public_chat")
    await seat(near, other, peer.user())
    one, two, three = message(peer, room, "1"), message(peer, other, "2"), message(peer, room, "3")

    answer = orjson.loads((await peer.send(NEAR, [one, two, three, one])).body)

    assert answer == {"pdus": {one.event_id: {}, two.event_id: {}, three.event_id: {}}}
    assert await waiting(near) == [
        ("peer.test", room, [one.event_id, three.event_id]),
        ("peer.test", other, [two.event_id]),
    ]


async def test_a_bad_pdu_does_not_keep_back_the_others(near: Server, peer: Peer, room: str) -> None:
    """Unknown rooms, wrong shapes and depths beyond reason cost their own PDU alone."""
    good, lost = message(peer, room, "good"), message(peer, "!nowhere:peer.test", "lost")
    broken: dict[str, Any] = {"room_id": room, "type": "m.room.message", "content": {}, "sender": "nobody"}
    deep = b'{"content":%s1%s,"room_id":"%s"}' % (b'{"a":' * 300, b"}" * 300, room.encode())

    answer = await peer.send(NEAR, [lost, broken, deep, {"room_id": 5}, b"7", good])

    pdus = orjson.loads(answer.body)["pdus"]
    assert answer.status == 200
    assert pdus.pop(good.event_id) == {}
    assert pdus.pop(lost.event_id) == {"error": "This server is not in the room"}
    assert [list(result) for result in pdus.values()] == [["error"]]
    assert await waiting(near) == [("peer.test", room, [good.event_id])]


async def test_a_room_that_bans_the_server_takes_nothing_from_it(
    near: Server, alice: Client, peer: Peer, room: str
) -> None:
    """The access control list holds for each room of a transaction."""
    await alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.*"]})
    event = message(peer, room, "let me in")

    answer = orjson.loads((await peer.send(NEAR, [event])).body)

    assert answer == {"pdus": {event.event_id: {"error": "Your server is banned from the room"}}}
    assert await waiting(near) == []


async def test_a_repeated_transaction_is_answered_again_without_an_effect(
    near: Server, peer: Peer, room: str
) -> None:
    """Also with other contents: the id names the transaction."""
    event = message(peer, room, "once")
    first = await peer.send(NEAR, [event], txn="t")

    again = await peer.send(NEAR, [event], txn="t")
    other = await peer.send(NEAR, [message(peer, room, "twice")], txn="t")

    assert first.body == again.body == other.body
    assert await waiting(near) == [("peer.test", room, [event.event_id])]


async def test_a_repetition_attaches_to_the_transaction_under_way(
    near: Server, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both get the answer of the one, which is worked off once."""
    began, may_end = asyncio.Event(), asyncio.Event()
    inbound = near.app.services.federation.inbound.transactions
    sort, sorted_pdus = inbound._sort, []

    async def slowly(*args: Any) -> Any:
        sorted_pdus.append(args)
        began.set()
        await may_end.wait()
        return await sort(*args)

    monkeypatch.setattr(inbound, "_sort", slowly)
    event = message(peer, room, "once")
    first = asyncio.ensure_future(peer.send(NEAR, [event], txn="t"))
    await began.wait()
    second = asyncio.ensure_future(peer.send(NEAR, [event], txn="t"))
    await asyncio.sleep(0.05)
    assert not second.done()
    may_end.set()

    assert (await first).body == (await second).body
    assert len(sorted_pdus) == 1
    assert len(await waiting(near)) == 1


async def test_who_attached_to_a_failure_tries_again(
    near: Server, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that fails once is not lost to those who repeated it."""
    began, may_end = asyncio.Event(), asyncio.Event()
    inbound = near.app.services.federation.inbound.transactions
    sort = inbound._sort

    async def fail_once(*args: Any) -> Any:
        if may_end.is_set():
            return await sort(*args)
        began.set()
        await may_end.wait()
        raise OSError("the disk")

    monkeypatch.setattr(inbound, "_sort", fail_once)
    first = asyncio.ensure_future(peer.send(NEAR, [message(peer, room, "once")], txn="t"))
    await began.wait()
    second = asyncio.ensure_future(peer.send(NEAR, [message(peer, room, "once")], txn="t"))
    await asyncio.sleep(0.05)
    may_end.set()

    assert (await first).status == 500
    assert (await second).status == 200
    assert len(await waiting(near)) == 1


async def test_an_answer_that_was_lost_comes_again(wire: Wire, near: Server, peer: Peer, room: str) -> None:
    """The sender that did not hear it asks again, and nothing happens twice."""
    lost = [True]

    async def lose(passing: Passing) -> None:
        if passing.destination == NEAR and lost:
            lost.pop()
            raise Unreachable(NEAR, "the answer is lost")

    wire.after = lose
    event = message(peer, room, "once")
    with pytest.raises(Unreachable):
        await peer.send(NEAR, [event], txn="t")

    assert orjson.loads((await peer.send(NEAR, [event], txn="t")).body) == {"pdus": {event.event_id: {}}}
    assert len(await waiting(near)) == 1


async def test_what_is_no_transaction_is_refused(near: Server, peer: Peer, room: str) -> None:
    """Too many PDUs or EDUs, another origin, wrong shapes: 4xx, and nothing is taken."""
    event = message(peer, room, "x")
    edu = {"edu_type": "m.typing", "content": {}}
    path = "/_matrix/federation/v1/send/t"

    assert (await peer.send(NEAR, [event] * 51)).status == 400
    assert (await peer.send(NEAR, [], [edu] * 101)).status == 400
    assert (await peer.send(NEAR, [event], txn="t" * 300)).status == 400
    assert (await peer.request(NEAR, "PUT", path, {"pdus": {}})).status == 400
    assert (await peer.request(NEAR, "PUT", path, [1])).status == 400
    assert (await peer.request(NEAR, "PUT", path, {"origin": "other.test", "pdus": []})).status == 403
    assert (await peer.send(NEAR, [event] * 50, [edu] * 100)).status == 200
    assert (await near.anonymous.put("/_matrix/federation/v1/send/t", {"pdus": []})).status == 401


async def test_floods_are_refused(
    wire: Wire, near: Server, alice: Client, peer: Peer, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room takes so many of a server; of one that goes on in other rooms nothing is taken until less waits."""
    monkeypatch.setattr(transactions, "ROOM_EVENTS", 3)
    monkeypatch.setattr(transactions, "ORIGIN_EVENTS", 4)
    events = [message(peer, room, str(number)) for number in range(4)]
    other = await alice.create_room(preset="public_chat")
    elsewhere = message(peer, other, "elsewhere")

    answer = orjson.loads((await peer.send(NEAR, [*events, elsewhere])).body)

    assert answer["pdus"][events[3].event_id] == {"error": "Too many of your events wait in this room"}
    assert [len(ids) for _, _, ids in await waiting(near)] == [3, 1]
    refused = await peer.send(NEAR, [message(peer, other, "more")], txn="more")
    assert (refused.status, orjson.loads(refused.body)["errcode"]) == (429, "M_LIMIT_EXCEEDED")
    honest = Peer.on(wire, "honest.test")
    assert (await honest.send(NEAR, [message(honest, other, "hello")])).status == 200
    monkeypatch.setattr(transactions, "ORIGIN_EVENTS", 10)
    assert (await peer.send(NEAR, [message(peer, other, "more")], txn="more")).status == 200


async def test_old_transactions_are_forgotten(near: Server, peer: Peer, room: str) -> None:
    """Their repetition is a new transaction then."""
    await peer.send(NEAR, [message(peer, room, "one")], txn="t")
    db = near.app.services.db

    assert await db.write(staged.forget_transactions, peer.now() - 60_000) == 0
    assert await db.write(staged.forget_transactions, peer.now() + 60_000) == 1
    await peer.send(NEAR, [message(peer, room, "two")], txn="t")

    assert len(await waiting(near)) == 2


async def test_the_record_is_pruned_by_itself(near: Server) -> None:
    """The background work forgets what is older than a day."""
    db = near.app.services.db
    old = staged.ReceivedTransaction("peer.test", "old", b"{}", 5)
    await db.write_batch(staged.receive, old)
    inbound = near.app.services.federation.inbound.transactions
    task = asyncio.ensure_future(inbound.prune_forever())

    async def is_gone() -> bool:
        return await db.read(staged.find_answer, "peer.test", "old") is None

    await until(is_gone)
    task.cancel()
