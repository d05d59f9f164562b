"""How far other servers have been told of what happened in rooms, and the transactions that are under way to them.

Each write is fenced by the lease of the shard that the server belongs to.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from chamberlain.store import cursors
from chamberlain.store.leases import Lease, fence
from chamberlain.store.tx import Read, Write

_PUT: Final = (
    "INSERT INTO outbox_servers (destination, sent, behind, txn_id, txn_at, txn_upto, txn_pdus, txn_edus,"
    " txn_ephemeral)"
    " VALUES (:destination, :sent, :behind, :txn_id, :txn_at, :txn_upto, :txn_pdus, :txn_edus, :txn_ephemeral)"
    " ON CONFLICT (destination) DO UPDATE SET sent = excluded.sent, behind = excluded.behind,"
    " txn_id = excluded.txn_id, txn_at = excluded.txn_at, txn_upto = excluded.txn_upto,"
    " txn_pdus = excluded.txn_pdus, txn_edus = excluded.txn_edus, txn_ephemeral = excluded.txn_ephemeral"
)


class Transaction(msgspec.Struct, frozen=True):
    """What is sent at once. `pdus`: the numbers of events; `edus`, `ephemeral`: JSON of each EDU."""

    txn_id: str
    at: int
    """When it was made (ms)."""
    upto: int
    """What is for the server up to this position has been sent with it."""
    pdus: tuple[int, ...] = ()
    edus: tuple[bytes, ...] = ()
    """Those that must not be lost."""
    ephemeral: tuple[bytes, ...] = ()
    """Those that are worth little later."""


class ServerState(msgspec.Struct, frozen=True):
    """A row of `outbox_servers`: how far a server has been told."""

    destination: str
    sent: int
    behind: bool
    txn: Transaction | None = None


class Put(msgspec.Struct, frozen=True):
    """The state that a server shall have, and up to which position its EDUs are in the transaction."""

    lease: Lease
    state: ServerState
    edus_upto: int = 0


class Window(msgspec.Struct, frozen=True):
    """The events of a room at since < position ≤ until are for the server; without end where `until` is None."""

    since: int
    until: int | None = None


async def put(tx: Write, items: list[Put]) -> list[None]:
    """Keep the states of servers; one for each.

    Raises:
        LeaseLost: another worker has taken a shard over.
    """
    for lease in {item.lease.name: item.lease for item in items}.values():
        await fence(tx, lease)
    # Of two states of one server the later one holds.
    states = {item.state.destination: item.state for item in items}
    await tx.many(_PUT, [_row(states[destination]) for destination in sorted(states)])
    for item in items:
        if item.edus_upto:
            await tx.run(
                "DELETE FROM outbox_edus WHERE destination = :destination AND position <= :upto",
                destination=item.state.destination,
                upto=item.edus_upto,
            )
    return [None] * len(items)


async def find(tx: Read, destination: str) -> ServerState | None:
    """Give how far a server has been told, or None where there was never anything for it."""
    row = await tx.one(
        "SELECT destination, sent, behind, txn_id, txn_at, txn_upto, txn_pdus, txn_edus, txn_ephemeral"
        " FROM outbox_servers WHERE destination = :destination",
        destination=destination,
    )
    if row is None:
        return None
    txn = None
    if row[3] is not None:
        pdus = msgspec.json.decode(row[6], type=tuple[int, ...])
        txn = Transaction(row[3], row[4], row[5], pdus, _split(row[7]), _split(row[8]))
    return ServerState(row[0], row[1], bool(row[2]), txn)


async def list_behind(tx: Read) -> list[tuple[str, int]]:
    """Give the servers for which something may wait, and how far each has been told."""
    rows = await tx.all("SELECT destination, sent FROM outbox_servers WHERE behind ORDER BY destination")
    return [(row[0], row[1]) for row in rows]


async def list_sent_since(tx: Read, position: int) -> dict[str, int]:
    """Give how far the servers have been told that were told of something after a position."""
    rows = await tx.all(
        "SELECT destination, sent FROM outbox_servers WHERE sent > :position", position=position
    )
    return {row[0]: row[1] for row in rows}


async def record(
    tx: Write,
    lease: Lease,
    cursor: int,
    windows: Mapping[tuple[str, str], Window],
    newest: Mapping[str, int],
) -> None:
    """Keep what is for whom: windows by (server, room), newest positions by room; and move the shard's cursor.

    The cursor's name is the lease's.

    Raises:
        LeaseLost: another worker has taken the shard over.
    """
    await fence(tx, lease)
    await tx.many(
        "INSERT INTO outbox_rooms (destination, room_id, since, until)"
        " VALUES (:destination, :room_id, :since, :until)"
        " ON CONFLICT (destination, room_id) DO UPDATE SET since = excluded.since, until = excluded.until",
        [
            {"destination": key[0], "room_id": key[1], "since": window.since, "until": window.until}
            for key, window in sorted(windows.items())
        ],
    )
    await tx.many(
        "INSERT INTO outbox_newest (room_id, position) VALUES (:room_id, :position)"
        " ON CONFLICT (room_id) DO UPDATE SET position = excluded.position"
        " WHERE outbox_newest.position < excluded.position",
        [{"room_id": room_id, "position": position} for room_id, position in sorted(newest.items())],
    )
    await cursors.advance(tx, lease.name, cursor)


async def forget_ended(tx: Write, lease: Lease, upto: int) -> None:
    """Forget the windows that ended at a position or before it, except of servers that still lack what is in them."""
    await fence(tx, lease)
    await tx.run(
        "DELETE FROM outbox_rooms WHERE until <= :upto AND NOT EXISTS (SELECT 1 FROM outbox_servers s"
        " WHERE s.destination = outbox_rooms.destination AND s.behind AND s.sent < outbox_rooms.until)",
        upto=upto,
    )


async def trim_edus(tx: Write, destinations: Collection[str], keep: int) -> int:
    """Forget the oldest EDUs of each of these servers beyond so many; give how many went."""
    gone = 0
    for destination in destinations:
        gone += await tx.run(
            "DELETE FROM outbox_edus WHERE destination = :destination AND position <= (SELECT position"
            " FROM outbox_edus WHERE destination = :destination ORDER BY position DESC LIMIT 1 OFFSET :keep)",
            destination=destination,
            keep=keep,
        )
    return gone


def _row(state: ServerState) -> dict[str, Any]:
    txn = state.txn
    return {
        "destination": state.destination,
        "sent": state.sent,
        "behind": state.behind,
        "txn_id": None if txn is None else txn.txn_id,
        "txn_at": None if txn is None else txn.at,
        "txn_upto": None if txn is None else txn.upto,
        "txn_pdus": None if txn is None else msgspec.json.encode(txn.pdus).decode(),
        "txn_edus": None if txn is None else _join(txn.edus),
        "txn_ephemeral": None if txn is None else _join(txn.ephemeral),
    }


def _join(edus: Sequence[bytes]) -> bytes:
    return b"[%s]" % b",".join(edus)


def _split(edus: bytes) -> tuple[bytes, ...]:
    return tuple(bytes(edu) for edu in msgspec.json.decode(edus, type=list[msgspec.Raw]))
