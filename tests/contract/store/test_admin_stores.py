"""Nonces, server notices and the audit log on both databases."""

import asyncio

from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.store import audit, nonces, server_notices
from chamberlain.store.audit import NewRecord
from chamberlain.store.database import Database

ALICE = UserID("@alice:x")


async def test_a_nonce_is_good_once(db: Database) -> None:
    """Of eight uses at once, one wins."""
    assert await db.write(nonces.create, "n", 0, 100, 5)
    used = await asyncio.gather(*(db.write(nonces.use, "n", 50) for _ in range(8)))

    assert sorted(used) == [False] * 7 + [True]


async def test_a_nonce_expires_and_there_is_a_most(db: Database) -> None:
    """An expired nonce is no good and makes room for new ones."""
    assert await db.write(nonces.create, "a", 0, 100, 2)
    assert await db.write(nonces.create, "b", 0, 100, 2)
    assert not await db.write(nonces.create, "c", 0, 100, 2)
    assert not await db.write(nonces.use, "a", 100)
    assert await db.write(nonces.create, "c", 100, 200, 2)
    assert not await db.write(nonces.use, "b", 50)


async def test_a_notices_room_is_remembered(db: Database) -> None:
    """A user has one notices room."""
    assert await db.read(server_notices.find_room, ALICE) is None
    await db.write(server_notices.set_room, ALICE, RoomID("!a"))
    await db.write(server_notices.set_room, ALICE, RoomID("!b"))

    assert await db.read(server_notices.find_room, ALICE) == "!b"
    assert await db.read(server_notices.is_room_of, RoomID("!b"), ALICE)
    assert not await db.read(server_notices.is_room_of, RoomID("!a"), ALICE)


async def test_a_notice_transaction_stands_for_its_first_event(db: Database) -> None:
    """The first event of a transaction id stays, until it is old."""
    assert await db.write(server_notices.add_txn, "@root:x", "t", EventID("$1"), 10, 0) == "$1"
    assert await db.write(server_notices.add_txn, "@root:x", "t", EventID("$2"), 11, 0) == "$1"
    assert await db.read(server_notices.find_txn, "@other:x", "t") is None
    await db.write(server_notices.add_txn, "@root:x", "u", EventID("$3"), 20, 15)
    assert await db.read(server_notices.find_txn, "@root:x", "t") is None


def record(at: int, actor: str = "@root:x", target: str = "@alice:x", call: int | None = None) -> NewRecord:
    """A record of a call, or of its outcome."""
    return NewRecord(
        call=call,
        at=at,
        operation="users.lock",
        facade="test",
        outcome="called" if call is None else "ok",
        fields={"actor": ("s1", actor), "target": ("s2", target)} if call is None else {},
    )


async def test_the_audit_log_is_one_chain(db: Database) -> None:
    """Records appended at once follow one another, each with the hash of the one before."""
    numbers = await asyncio.gather(*(db.write_batch(audit.append, (record(n), b"key")) for n in range(20)))
    records = await db.snapshot(audit.list_records, 0, 100)

    assert sorted(numbers) == [r.number for r in records] == list(range(1, 21))
    before = audit.FIRST_HASH
    for kept in records:
        assert kept.hash == audit.hash_of(
            before, kept.number, None, kept.at, "users.lock", "test", "called", None, kept.commitments
        )
        assert kept.mac == audit.mac_of(b"key", kept.hash)
        before = kept.hash
    assert await db.read(audit.count_given) == 20


async def test_listing_calls_with_filters(db: Database) -> None:
    """A call is listed with its outcome, and found by actor, target, operation, outcome and time."""
    first = await db.write_batch(audit.append, (record(10), b"key"))
    await db.write_batch(audit.append, (record(11, call=first), b"key"))
    second = await db.write_batch(audit.append, (record(20, actor="@mod:x", target="!room"), b"key"))

    calls = await db.snapshot(audit.list_calls, before=2**62, limit=10)
    assert [(call.number, call.outcome, call.finished_at) for call in calls] == [
        (second, None, None),
        (first, "ok", 11),
    ]
    assert calls[1].fields == {"actor": "@root:x", "target": "@alice:x"}
    for filters, found in (
        ({"actor": "@mod:x"}, [second]),
        ({"target": "@alice:x"}, [first]),
        ({"operation": "users.lock", "outcome": "ok"}, [first]),
        ({"operation": "other"}, []),
        ({"since": 11}, [second]),
        ({"until": 20}, [first]),
        ({"limit": 1}, [second]),
        ({"before": second}, [first]),
    ):
        given = await db.snapshot(audit.list_calls, **({"before": 2**62, "limit": 10} | filters))  # type: ignore[arg-type]
        assert [call.number for call in given] == found


async def test_shredding_a_user(db: Database) -> None:
    """A user's name goes from the rows about them, and the other names stay."""
    call = await db.write_batch(audit.append, (record(10), b"key"))
    assert await db.write(audit.shred, "@alice:x") == 1
    (kept,) = await db.snapshot(audit.list_records, call - 1, 1)

    assert dict(kept.fields) == {"actor": ("s1", "@root:x")}
    assert "target" in kept.commitments
    assert await db.write(audit.shred, "@root:x") == 1
    assert await db.write(audit.shred, "@root:x") == 0
