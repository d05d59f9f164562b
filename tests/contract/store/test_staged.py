"""Transactions of other servers in the store."""

from chamberlain.store import kinds, staged
from chamberlain.store.database import Database
from chamberlain.store.staged import ReceivedTransaction, StagedPdus, Waiting
from chamberlain.store.tx import Change

ROOM = "!room:example.org"
OTHER = "!other:example.org"


def transaction(
    txn_id: str, *rooms: tuple[str, list[str]], origin: str = "a.test", at: int = 1
) -> ReceivedTransaction:
    """A transaction with PDUs that are their ids, as JSON text."""
    pdus = [
        StagedPdus(room_id, [(event_id, f'{{"of":"{event_id}"}}'.encode()) for event_id in ids])
        for room_id, ids in rooms
    ]
    return ReceivedTransaction(origin, txn_id, f'{{"txn":"{txn_id}"}}'.encode(), at, pdus)


async def test_a_transaction_is_kept_once(db: Database) -> None:
    """A second one with the same id gets the first answer, and nothing of it is staged."""
    told: list[Change] = []
    db.subscribe(told.extend)

    assert await db.write_batch(staged.receive, transaction("t", (ROOM, ["$1", "$2"]))) is None
    assert await db.write_batch(staged.receive, transaction("t", (ROOM, ["$3"]))) == b'{"txn":"t"}'
    assert await db.write_batch(staged.receive, transaction("t", (ROOM, ["$4"]), origin="b.test")) is None

    assert await db.read(staged.find_answer, "a.test", "t") == b'{"txn":"t"}'
    assert await db.read(staged.find_answer, "a.test", "u") is None
    found = await db.read(staged.first_in, ROOM, 50)
    assert [(arrival.origin, [event_id for event_id, _ in arrival.pdus]) for arrival in found] == [
        ("a.test", ["$1", "$2"]),
        ("b.test", ["$4"]),
    ]
    assert found[0].pdus[0] == ("$1", b'{"of":"$1"}')
    assert [(change.kind, change.entity, change.ref, change.payload) for change in told] == [
        (kinds.STAGED, ROOM, "a.test", 2),
        (kinds.STAGED, ROOM, "b.test", 1),
    ]


async def test_a_room_is_read_in_parts(db: Database) -> None:
    """Whole arrivals, in their order, until there are enough PDUs."""
    for number in range(4):
        await db.write_batch(
            staged.receive, transaction(f"t{number}", (ROOM, [f"${number}a", f"${number}b"]), (OTHER, ["$x"]))
        )

    first = await db.read(staged.first_in, ROOM, 3)
    assert [event_id for arrival in first for event_id, _ in arrival.pdus] == ["$0a", "$0b", "$1a", "$1b"]
    await db.write_batch(staged.forget, [arrival.position for arrival in first])
    second = await db.read(staged.first_in, ROOM, 50)
    assert [event_id for arrival in second for event_id, _ in arrival.pdus] == ["$2a", "$2b", "$3a", "$3b"]
    await db.write_batch(staged.forget, [arrival.position for arrival in second])

    assert await db.read(staged.first_in, ROOM, 50) == []
    assert await db.read(staged.rooms_waiting) == [OTHER]


async def test_what_waits_is_counted_for_each_server(db: Database) -> None:
    """By room, events and bytes."""
    await db.write_batch(staged.receive, transaction("1", (ROOM, ["$1", "$2"]), (OTHER, ["$3"])))
    await db.write_batch(staged.receive, transaction("2", (ROOM, ["$4"])))
    await db.write_batch(staged.receive, transaction("2", (ROOM, ["$5"]), origin="b.test"))

    size = len('{"of":"$1"}')
    found = sorted(await db.read(staged.waiting_of, "a.test"), key=lambda waiting: waiting.room_id)
    assert found == [Waiting(OTHER, 1, size + 2), Waiting(ROOM, 3, 3 * size + 2 + 1 + 2)]
    assert sorted(await db.read(staged.rooms_waiting)) == [OTHER, ROOM]


async def test_old_transactions_are_forgotten(db: Database) -> None:
    """Only those from before a time."""
    for number in range(5):
        await db.write_batch(staged.receive, transaction(f"t{number}", at=number))

    assert await db.write(staged.forget_transactions, 3) == 3
    assert await db.write(staged.forget_transactions, 3) == 0
    assert await db.read(staged.find_answer, "a.test", "t2") is None
    assert await db.read(staged.find_answer, "a.test", "t3") is not None
