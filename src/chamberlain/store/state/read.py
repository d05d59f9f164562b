"""What the state was at a point, and what differs between two points."""

from collections.abc import Collection, Iterable

from chamberlain.matrix.types import StateKey
from chamberlain.store.state.lines import Point, Step, to_root, way
from chamberlain.store.tx import Read, Row

MANY_KEYS = 1_000
"""From so many keys on it is asked whether reading the whole state is cheaper than looking each one up."""


async def get(tx: Read, point: Point, key: int) -> int | None:
    """The event that a key has at a point, or None."""
    here: Point | None = point
    while here is not None:
        line, ver = here
        row = await tx.one(
            "SELECT to_v, event FROM state_rows WHERE line = :line AND key = :key AND from_v <= :ver"
            " ORDER BY from_v DESC LIMIT 1",
            line=line,
            key=key,
            ver=ver,
        )
        if row is not None and row[0] > ver:
            event: int | None = row[1]
            return event
        here = await _base_to_ask(tx, line)
    return None


async def get_many(tx: Read, point: Point, keys: Iterable[int]) -> dict[int, int]:
    """The events of these keys at a point; keys without one are left out."""
    found: dict[int, int] = {}
    asked = set(keys)
    if len(asked) >= MANY_KEYS and await _is_most_of(tx, point, len(asked)):
        return {key: event for key, event in (await full(tx, point)).items() if key in asked}
    here: Point | None = point
    while asked and here is not None:
        line, ver = here
        for key, (_, to_v, event) in (await rows_at(tx, here, asked)).items():
            if to_v > ver:
                asked.discard(key)
                if event is not None:
                    found[key] = event
        here = await _base_to_ask(tx, line) if asked else None
    return found


async def rows_at(tx: Read, point: Point, keys: Collection[int]) -> dict[int, tuple[int, int, int | None]]:
    """The newest row, (from_v, to_v, event), that each key has on the point's own line up to its version."""
    # One index seek a key: driven from the keys, so that their older rows are never touched.
    rows = await tx.all(
        "SELECT k.key, r.from_v, r.to_v, r.event FROM state_keys k CROSS JOIN state_rows r"
        " WHERE k.key = ANY(:keys) AND r.line = :line AND r.key = k.key AND r.from_v ="
        " (SELECT MAX(x.from_v) FROM state_rows x"
        " WHERE x.line = :line AND x.key = k.key AND x.from_v <= :ver)",
        keys=list(keys),
        line=point[0],
        ver=point[1],
    )
    return {key: (from_v, to_v, event) for key, from_v, to_v, event in rows}


async def _base_to_ask(tx: Read, line: int) -> Point | None:
    row = await tx.one(
        "SELECT base_line, base_ver FROM state_lines WHERE line = :line AND NOT complete"
        " AND base_line IS NOT NULL",
        line=line,
    )
    return None if row is None else (row[0], row[1])


async def _is_most_of(tx: Read, point: Point, count: int) -> bool:
    return to_root(await way(tx, point))[-1].line.live <= 4 * count


async def full(tx: Read, point: Point) -> dict[int, int]:
    """The whole state at a point."""
    return await overlay(tx, to_root(await way(tx, point)))


async def overlay(tx: Read, steps: list[Step]) -> dict[int, int]:
    """What these steps say together, each over the one after it; tombstones hide what is below them."""
    return {key: event for key, event in (await stacked(tx, steps)).items() if event is not None}


async def stacked(tx: Read, steps: list[Step]) -> dict[int, int | None]:
    """What these steps say together, tombstones shown as None."""
    state: dict[int, int | None] = {}
    for step in reversed(steps):
        state.update((key, event) for key, event in await _rows_of(tx, step))
    return state


async def _rows_of(tx: Read, step: Step) -> list[Row]:
    # The `+ 0` keeps each database to the index whose end is nearer; the other one reads all history.
    line, ver = step.point
    if step.line.tip - ver <= ver - step.line.head:
        return await tx.all(
            "SELECT key, event FROM state_rows WHERE line = :line AND to_v > :ver AND from_v + 0 <= :ver",
            line=line,
            ver=ver,
        )
    return await tx.all(
        "SELECT key, event FROM state_rows WHERE line = :line AND from_v <= :ver AND to_v + 0 > :ver",
        line=line,
        ver=ver,
    )


async def full_by_name(tx: Read, point: Point) -> dict[StateKey, int]:
    """The whole state at a point by (type, state_key)."""
    return await _named(tx, await full(tx, point))


async def _named(tx: Read, state: dict[int, int]) -> dict[StateKey, int]:
    rows = await tx.all(
        "SELECT key, type, state_key FROM state_keys WHERE key = ANY(:keys)", keys=list(state)
    )
    return {(kind, state_key): state[key] for key, kind, state_key in rows}


async def of_types(tx: Read, point: Point, types: Collection[str]) -> dict[StateKey, int]:
    """The state of these types at a point; unless m.room.member is one, members add nothing to the cost."""
    part = await (full(tx, point) if "m.room.member" in types else _without_members(tx, point))
    rows = await tx.all(
        "SELECT key, type, state_key FROM state_keys WHERE key = ANY(:keys) AND type = ANY(:types)",
        keys=list(part),
        types=list(types),
    )
    return {(kind, state_key): part[key] for key, kind, state_key in rows}


async def members(tx: Read, point: Point) -> dict[str, int]:
    """The member events at a point by user id, whatever their membership."""
    state = {key: event for key, event in (await full(tx, point)).items() if key > 0}
    return {name[1]: event for name, event in (await _named(tx, state)).items()}


async def without_members(tx: Read, point: Point) -> dict[StateKey, int]:
    """The state at a point but for m.room.member; however many they are, they cost nothing."""
    return await _named(tx, await _without_members(tx, point))


async def _without_members(tx: Read, point: Point) -> dict[int, int]:
    state: dict[int, int | None] = {}
    for step in reversed(to_root(await way(tx, point))):
        rows = await tx.all(
            "SELECT key, event FROM state_rows WHERE line = :line AND key < 0 AND from_v + 0 <= :ver"
            " AND to_v + 0 > :ver",
            line=step.line.line,
            ver=step.ver,
        )
        state.update((key, event) for key, event in rows)
    return {key: event for key, event in state.items() if event is not None}


async def current(tx: Read, room_id: str) -> Point | None:
    """The point of a room's current state, or None where there is no such room."""
    row = await tx.one("SELECT cur_line, cur_ver FROM rooms WHERE room_id = :room_id", room_id=room_id)
    return None if row is None else (row[0], row[1])


async def point_at(tx: Read, room_id: str, position: int) -> Point | None:
    """The point of the state that was current at a position, or None where it is older than what was kept."""
    row = await tx.one(
        "SELECT line, ver FROM room_positions WHERE room_id = :room_id AND position <= :position"
        " ORDER BY position DESC LIMIT 1",
        room_id=room_id,
        position=position,
    )
    return None if row is None else (row[0], row[1])


async def before(tx: Read, nid: int) -> Point | None:
    """The point before an event, or None for an outlier and an unknown event."""
    row = await tx.one("SELECT before_line, before_ver FROM events WHERE nid = :nid", nid=nid)
    return None if row is None or row[0] is None else (row[0], row[1])


async def difference(tx: Read, p: Point, q: Point) -> dict[int, tuple[int | None, int | None]]:
    """The keys that have not the same event at both points, with the event at each."""
    keys = await changed_keys(tx, p, q)
    if not keys:
        return {}
    at_p, at_q = await get_many(tx, p, keys), await get_many(tx, q, keys)
    pairs = ((key, at_p.get(key), at_q.get(key)) for key in keys)
    return {key: (one, other) for key, one, other in pairs if one != other}


async def changed_keys(tx: Read, p: Point, q: Point) -> set[int]:
    """A set of keys that holds all in which two points differ, and few others."""
    if p == q:
        return set()
    if p[0] == q[0]:
        return await _between(tx, p[0], p[1], q[1])
    way_p, way_q = await way(tx, p), await way(tx, q)
    of_q = {step.line.line: n for n, step in enumerate(way_q)}
    met = next((n for n, step in enumerate(way_p) if step.line.line in of_q), None)
    if met is None:
        return await _compared(tx, way_p, way_q)
    meeting = of_q[way_p[met].line.line]
    keys = await _between(tx, way_p[met].line.line, way_p[met].ver, way_q[meeting].ver)
    for step in way_p[:met] + way_q[:meeting]:
        if step.line.complete:
            # Its version 1 is its base.
            keys |= await _between(tx, step.line.line, 1, step.ver)
        else:
            keys.update(key for key, _ in await _rows_of(tx, step))
    return keys


async def _between(tx: Read, line: int, one: int, other: int) -> set[int]:
    if one == other:
        return set()
    rows = await tx.all(
        "SELECT key FROM state_rows WHERE line = :line AND from_v > :low AND from_v <= :high"
        " UNION SELECT key FROM state_rows WHERE line = :line AND to_v > :low AND to_v <= :high",
        line=line,
        low=min(one, other),
        high=max(one, other),
    )
    return {row[0] for row in rows}


async def _compared(tx: Read, way_p: list[Step], way_q: list[Step]) -> set[int]:
    a, b = await overlay(tx, to_root(way_p)), await overlay(tx, to_root(way_q))
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
