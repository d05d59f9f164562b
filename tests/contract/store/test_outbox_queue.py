"""How far other servers have been told, in the store."""

import pytest

from chamberlain.store import cursors, leases, outbox, outbox_events, outbox_queue
from chamberlain.store.database import Database
from chamberlain.store.leases import Lease, LeaseLost
from chamberlain.store.outbox_events import Due
from chamberlain.store.outbox_queue import Put, ServerState, Transaction, Window
from chamberlain.store.tx import Write
from tests.support.rows import insert


async def lease_of(db: Database, name: str = "outbound:0", holder: str = "me", now: int = 0) -> Lease:
    """The lease of a shard."""
    lease = await db.write(leases.take, name, holder, now, now + 10)
    assert lease is not None
    return lease


async def add_edu(tx: Write, destination: str, edu: bytes) -> None:
    """Put an EDU into a queue."""
    outbox.add_edu(tx, destination, edu)


async def test_a_transaction_is_kept_with_its_edus(db: Database) -> None:
    """Those that it has are out of the queue; the next state takes its place."""
    lease = await lease_of(db)
    for edu in (b'{"n":1}', b'{"n":2}', b'{"n":3}'):
        await db.write(add_edu, "a.test", edu)
    first, second, _ = await db.read(outbox.list_edus, "a.test", 10)
    txn = Transaction("t1", 5, 9, (7, 8), (first.edu, second.edu), (b'{"e":1}',))

    await db.write_batch(outbox_queue.put, Put(lease, ServerState("a.test", 6, True, txn), second.position))

    assert await db.read(outbox_queue.find, "a.test") == ServerState("a.test", 6, True, txn)
    assert [edu.edu for edu in await db.read(outbox.list_edus, "a.test", 10)] == [b'{"n":3}']
    assert await db.read(outbox_queue.list_behind) == [("a.test", 6)]
    assert await db.read(outbox_queue.list_sent_since, 5) == {"a.test": 6}

    await db.write_batch(outbox_queue.put, Put(lease, ServerState("a.test", 9, False)))

    assert await db.read(outbox_queue.find, "a.test") == ServerState("a.test", 9, False)
    assert await db.read(outbox_queue.list_behind) == []
    assert await db.read(outbox_queue.find, "b.test") is None


async def test_who_lost_the_lease_writes_nothing(db: Database) -> None:
    """Another worker has taken over."""
    old = await lease_of(db)
    await lease_of(db, holder="other", now=10)

    with pytest.raises(LeaseLost):
        await db.write_batch(outbox_queue.put, Put(old, ServerState("a.test", 9, False)))
    with pytest.raises(LeaseLost):
        await db.write(outbox_queue.record, old, 5, {}, {})
    assert await db.read(outbox_queue.find, "a.test") is None


async def test_what_was_recorded_ends(db: Database) -> None:
    """Windows that are over go, but for servers that still lack what is in them."""
    lease = await lease_of(db)
    windows = {
        ("a.test", "!r"): Window(1),
        ("b.test", "!r"): Window(1, 5),
        ("c.test", "!r"): Window(1, 5),
        ("d.test", "!r"): Window(1, 50),
    }
    await db.write(outbox_queue.record, lease, 7, windows, {"!r": 6})
    await db.write(outbox_queue.record, lease, 5, {}, {"!r": 3})
    await db.write_batch(outbox_queue.put, Put(lease, ServerState("c.test", 2, True)))
    await db.write(outbox_queue.forget_ended, lease, 10)

    found = await db.read(outbox_events._windows, "!r", 0)
    assert found == {"a.test": Window(1), "c.test": Window(1, 5), "d.test": Window(1, 50)}
    assert await db.read(cursors.find, lease.name) == 7


async def test_too_many_edus_are_trimmed(db: Database) -> None:
    """The newest stay."""
    for number in range(5):
        await db.write(add_edu, "a.test", b"%d" % number)

    assert await db.write(outbox_queue.trim_edus, ["a.test", "b.test"], 2) == 3
    assert [edu.edu for edu in await db.read(outbox.list_edus, "a.test", 10)] == [b"3", b"4"]


async def fill(tx: Write) -> None:
    """Two rooms with events at positions 1 to 8; `!r` is `@a:a.test`'s too, from 2 to 6."""
    for position in range(1, 9):
        await insert(
            tx,
            "events",
            nid=position,
            event_id=f"${position}",
            room_id="!r" if position % 2 else "!s",
            position=position,
            sender="@a:a.test" if position == 5 else "@u:own.test",
            outgoing=position != 3,
            pdu=b"{}",
            client=b"{}",
        )
    for room, newest in (("!r", 7), ("!s", 8)):
        extremities = f'[[{newest},"${newest}",1,1]]'
        await insert(tx, "rooms", room_id=room, version="10", extremities=extremities)


async def test_what_a_server_lacks_is_found(db: Database) -> None:
    """In order, or the newest of each room; what it sent itself is nothing to it."""
    lease = await lease_of(db)
    await db.write(fill)
    windows = {("a.test", "!r"): Window(1), ("a.test", "!s"): Window(0, 6), ("b.test", "!s"): Window(7)}
    await db.write(outbox_queue.record, lease, 8, windows, {"!r": 7, "!s": 8})

    async def due(server: str, after: int, upto: int = 8, limit: int = 9) -> list[Due]:
        return await db.snapshot(outbox_events.list_due, server, after, upto, limit)

    assert await due("a.test", 0) == [
        Due(2, (2,)),
        Due(4, (4,)),
        Due(5, ()),
        Due(6, (6,)),
        Due(7, (7,)),
    ]
    assert await due("a.test", 4, 6, 1) == [Due(5, ())]
    assert await due("b.test", 0) == [Due(8, (8,))]
    assert await db.snapshot(outbox_events.list_rooms_due, "a.test", 0, 9) == [Due(6, (6,)), Due(7, (7,))]
    assert await db.snapshot(outbox_events.list_rooms_due, "a.test", 6, 9) == [Due(7, (7,))]
    assert await db.snapshot(outbox_events.list_rooms_due, "a.test", 7, 9) == []
    assert await db.read(outbox_events.list_pdus, [2, 99]) == {2: ("$2", b"{}")}
