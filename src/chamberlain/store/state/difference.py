"""What differs between two points."""

from chamberlain.store.state.lines import Point, Step, to_root, way
from chamberlain.store.state.read import get_many, overlay, rows_of
from chamberlain.store.tx import Read


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
            keys.update(key for key, _ in await rows_of(tx, step))
    return keys


async def _between(tx: Read, line: int, one: int, other: int) -> set[int]:
    if one == other:
        return set()
    rows = await tx.all(
        "SELECT key FROM state_rows WHERE line = :line AND from_v + 0 > :low AND from_v + 0 <= :high"
        " UNION SELECT key FROM state_rows WHERE line = :line AND to_v + 0 > :low AND to_v + 0 <= :high",
        line=line,
        low=min(one, other),
        high=max(one, other),
    )
    return {row[0] for row in rows}


async def _compared(tx: Read, way_p: list[Step], way_q: list[Step]) -> set[int]:
    a, b = await overlay(tx, to_root(way_p)), await overlay(tx, to_root(way_q))
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)}
