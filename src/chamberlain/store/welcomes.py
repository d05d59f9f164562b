"""What a server that has joined a room is told of it: the state before the join, and what authorizes it."""

from collections.abc import Collection

import msgspec

from chamberlain.matrix.types import StateKey
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import before, full, get_many, without_members
from chamberlain.store.tx import Read


class Told(msgspec.Struct, frozen=True):
    """PDUs of the state, and of all that its events and the join go back to by their auth events."""

    state: list[bytes]
    auth_chain: list[bytes]


async def told(tx: Read, join_id: str) -> Told | None:
    """Give what to tell of the room before this state event; None where it has no place in the room."""
    nid, point = await _place(tx, join_id)
    if point is None:
        return None
    state = set((await full(tx, point)).values())
    return Told(await _pdus(tx, state), await _pdus(tx, await _ancestors(tx, {*state, nid})))


async def told_without_members(tx: Read, join_id: str, members: Collection[StateKey]) -> Told | None:
    """Give the same with these members alone, and without saying twice what is in the state."""
    nid, point = await _place(tx, join_id)
    if point is None:
        return None
    state = set((await without_members(tx, point)).values())
    state.update((await get_many(tx, point, (await find_keys(tx, members)).values())).values())
    chain = await _ancestors(tx, {*state, nid})
    return Told(await _pdus(tx, state), await _pdus(tx, chain - state))


async def _place(tx: Read, event_id: str) -> tuple[int, Point | None]:
    nid: int | None = await tx.value("SELECT nid FROM events WHERE event_id = :event_id", event_id=event_id)
    return (0, None) if nid is None else (nid, await before(tx, nid))


async def _ancestors(tx: Read, nids: Collection[int]) -> set[int]:
    rows = await tx.all(
        "WITH RECURSIVE chain(nid) AS (SELECT auth FROM event_auth WHERE event = ANY(:nids)"
        " UNION SELECT a.auth FROM chain c JOIN event_auth a ON a.event = c.nid) SELECT nid FROM chain",
        nids=list(nids),
    )
    return {row[0] for row in rows}


async def _pdus(tx: Read, nids: Collection[int]) -> list[bytes]:
    rows = await tx.all("SELECT pdu FROM events WHERE nid = ANY(:nids)", nids=list(nids))
    return [bytes(row[0]) for row in rows]
