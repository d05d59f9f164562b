"""Transactions of other servers: the PDUs that they brought and the answers that they got."""

from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write

_ROWS: Final = 1_000
_KEEP: Final = (
    "INSERT INTO received_transactions (origin, txn_id, answer, at)"
    " VALUES (:origin, :txn_id, :answer, :at) ON CONFLICT (origin, txn_id) DO NOTHING"
)
_raw_array = msgspec.json.Decoder(list[msgspec.Raw])


class StagedPdus(msgspec.Struct, frozen=True):
    """PDUs of one transaction for one room, as (event id, canonical JSON)."""

    room_id: str
    pdus: Sequence[tuple[str, bytes]]


class ReceivedTransaction(msgspec.Struct, frozen=True):
    """A transaction as it is kept; `answer`: what its server is told, `at` in ms."""

    origin: str
    txn_id: str
    answer: bytes
    at: int
    staged: Sequence[StagedPdus] = ()


class Waiting(msgspec.Struct, frozen=True):
    """How many PDUs of a server wait in one room, and their bytes."""

    room_id: str
    events: int
    size: int


class Arrival(msgspec.Struct, frozen=True):
    """PDUs that wait in a room, all from one transaction; `position`: their place in the order."""

    position: int
    origin: str
    pdus: list[tuple[str, bytes]]


async def find_answer(tx: Read, origin: str, txn_id: str) -> bytes | None:
    """Give what a server was answered to this transaction; None: it has not been received, or long ago."""
    answer: bytes | None = await tx.value(
        "SELECT answer FROM received_transactions WHERE origin = :origin AND txn_id = :txn_id",
        origin=origin,
        txn_id=txn_id,
    )
    return answer


async def waiting_of(tx: Read, origin: str) -> list[Waiting]:
    """Give how much of a server waits, by room."""
    rows = await tx.all(
        "SELECT room_id, CAST(SUM(events) AS BIGINT), CAST(SUM(size) AS BIGINT) FROM staged_pdus"
        " WHERE origin = :origin GROUP BY room_id",
        origin=origin,
    )
    return [Waiting(*row) for row in rows]


async def receive(tx: Write, transactions: list[ReceivedTransaction]) -> list[bytes | None]:
    """Keep each transaction and stage its PDUs; give, of those that were kept before, the answer of then."""
    rows = [
        {"origin": one.origin, "txn_id": one.txn_id, "answer": one.answer, "at": one.at}
        for one in transactions
    ]
    if tx.is_alone:
        # Where one was kept before, this raises in the end, and all of them are looked at one by one.
        await tx.defer(_KEEP, rows, each=True)
    answers: list[bytes | None] = []
    for transaction, row in zip(transactions, rows, strict=True):
        is_new = tx.is_alone or await tx.run(_KEEP, **row)
        if is_new:
            for staged in transaction.staged:
                _stage(tx, transaction.origin, staged)
        answers.append(None if is_new else await find_answer(tx, transaction.origin, transaction.txn_id))
    return answers


def _stage(tx: Write, origin: str, staged: StagedPdus) -> None:
    pdus = b"[" + b",".join([pdu for _, pdu in staged.pdus]) + b"]"
    tx.place(kinds.STAGED, staged.room_id, origin, payload=len(staged.pdus)).write(
        "INSERT INTO staged_pdus (position, room_id, origin, events, size, event_ids, pdus)"
        " VALUES (:position, :room_id, :origin, :events, :size, :event_ids, :pdus)",
        room_id=staged.room_id,
        origin=origin,
        events=len(staged.pdus),
        size=len(pdus),
        event_ids=orjson.dumps([event_id for event_id, _ in staged.pdus]),
        pdus=pdus,
    )


async def rooms_waiting(tx: Read) -> list[str]:
    """Give the rooms in which PDUs wait, those that wait longest first."""
    rows = await tx.all("SELECT room_id FROM staged_pdus GROUP BY room_id ORDER BY MIN(position)")
    return [row[0] for row in rows]


async def first_in(tx: Read, room_id: str, limit: int) -> list[Arrival]:
    """Give what waits longest in a room, the oldest first, until it is `limit` PDUs or a little more."""
    rows = await tx.all(
        "SELECT s.position, s.origin, s.event_ids, s.pdus FROM staged_pdus s JOIN"
        " (SELECT position, SUM(events) OVER (ORDER BY position) - events AS before FROM"
        " (SELECT position, events FROM staged_pdus WHERE room_id = :room_id ORDER BY position LIMIT :limit) longest)"
        " few ON s.position = few.position WHERE few.before < :limit ORDER BY s.position",
        room_id=room_id,
        limit=limit,
    )
    return [Arrival(row[0], row[1], _pairs(row[2], row[3])) for row in rows]


def _pairs(event_ids: bytes, pdus: bytes) -> list[tuple[str, bytes]]:
    return list(zip(orjson.loads(event_ids), map(bytes, _raw_array.decode(pdus)), strict=True))


async def forget(tx: Write, arrivals: Sequence[Sequence[int]]) -> list[None]:
    """Forget arrivals that were worked off, for each caller those at these positions."""
    positions = [position for some in arrivals for position in some]
    await tx.run("DELETE FROM staged_pdus WHERE position = ANY(:positions)", positions=positions)
    return [None] * len(arrivals)


async def forget_transactions(tx: Write, before: int) -> int:
    """Forget the oldest transactions from before a time (ms); give how many went."""
    last = await tx.value(
        "SELECT MAX(at) FROM (SELECT at FROM received_transactions WHERE at < :before ORDER BY at LIMIT :rows) old",
        before=before,
        rows=_ROWS,
    )
    if last is None:
        return 0
    return await tx.run("DELETE FROM received_transactions WHERE at <= :last", last=last)
