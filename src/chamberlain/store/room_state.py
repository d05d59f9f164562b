"""Room state as clients read it: the events at a point."""

from collections.abc import Collection

from chamberlain.matrix.types import StateKey
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import full, get_many, members, of_types, point_at
from chamberlain.store.tx import Read

ClientEvent = bytes
"""The client form without `unsigned`."""


async def point_after(tx: Read, event_id: str) -> Point | None:
    """Give the point after a state event that was accepted, or None."""
    row = await tx.one(
        "SELECT after_line, after_ver FROM events WHERE event_id = :event_id", event_id=event_id
    )
    return None if row is None or row[0] is None else (row[0], row[1])


async def point_then(tx: Read, room_id: str, position: int) -> Point | None:
    """Give the point at a position, or, before the room's beginning, the one at which its creator is there."""
    point = await point_at(tx, room_id, position)
    if point is not None:
        return point
    row = await tx.one(
        "SELECT after_line, after_ver FROM events WHERE room_id = :room_id AND type = 'm.room.member'"
        " AND position > 0 AND after_line IS NOT NULL ORDER BY position LIMIT 1",
        room_id=room_id,
    )
    return None if row is None else (row[0], row[1])


async def list_state(tx: Read, point: Point) -> list[ClientEvent]:
    """Give every state event at a point."""
    return await _events(tx, (await full(tx, point)).values())


async def list_types(tx: Read, point: Point, types: Collection[str]) -> list[ClientEvent]:
    """Give the state events of these types at a point."""
    return await _events(tx, (await of_types(tx, point, types)).values())


async def list_members(tx: Read, point: Point) -> list[ClientEvent]:
    """Give every member event at a point."""
    return await _events(tx, (await members(tx, point)).values())


async def find_one(tx: Read, point: Point, key: StateKey) -> ClientEvent | None:
    """Give one state event at a point, or None."""
    numbers = await find_keys(tx, (key,))
    found = await get_many(tx, point, numbers.values())
    events = await _events(tx, found.values())
    return events[0] if events else None


async def _events(tx: Read, nids: Collection[int]) -> list[ClientEvent]:
    rows = await tx.all("SELECT client FROM events WHERE nid = ANY(:nids)", nids=list(nids))
    return [row[0] for row in rows]
