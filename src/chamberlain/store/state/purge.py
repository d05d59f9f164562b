"""Drop the state that nothing refers to any more."""

from graphlib import TopologicalSorter
from typing import Final

from chamberlain.store.state.lines import FIRST, LAST, Line, Point, lines_of
from chamberlain.store.tx import Write

LINES_AT_ONCE: Final = 100


async def purge(tx: Write, room_id: str, keep_from: int) -> None:
    """Of a room's state only that before and after its stored events, the current one, and what was current
    at `keep_from` and later positions is kept.

    The events themselves are deleted before. The caller holds the room's head and moves `head_seq`: a unit
    that was built before must be refused, its points may be gone.
    """
    await tx.run(
        "DELETE FROM room_positions WHERE room_id = :room_id AND position < (SELECT MAX(p.position)"
        " FROM room_positions p WHERE p.room_id = :room_id AND p.position <= :keep_from)",
        room_id=room_id,
        keep_from=keep_from,
    )
    lines = {line.line: line for line in await lines_of(tx, room_id)}
    await tx.run("DELETE FROM state_alias WHERE line = ANY(:lines)", lines=list(lines))
    low = await _oldest_referenced(tx, room_id)
    cut = _follow_bases(lines, low)
    await _drop(tx, [line for line in lines if line not in low])
    trimmed = [line for line, ver in low.items() if line in lines and ver > lines[line].head]
    await _trim(tx, {line: low[line] for line in trimmed})
    await tx.run(
        "UPDATE state_lines SET base_line = NULL, base_ver = NULL WHERE line = ANY(:lines)", lines=cut
    )


async def drop_room(tx: Write, room_id: str, limit: int) -> int:
    """Drop some of a room's state, and give how many rows went, about `limit` at most; 0: nothing is left.

    Nothing may refer to it any more. Events and positions of the room are the caller's business.
    """
    found = await tx.all(
        "SELECT line, live + dead FROM state_lines WHERE room_id = :room_id ORDER BY line LIMIT :lines",
        room_id=room_id,
        lines=LINES_AT_ONCE,
    )
    lines: list[int] = []
    for line, rows in found:
        if lines and rows > limit:
            break
        lines.append(line)
        limit -= rows
    if len(lines) == 1 and (gone := await _drop_first(tx, lines[0], limit + found[0][1])):
        return gone
    gone = await tx.run("DELETE FROM state_alias WHERE line = ANY(:lines)", lines=lines)
    gone += await tx.run("DELETE FROM state_rows WHERE line = ANY(:lines)", lines=lines)
    return gone + await tx.run("DELETE FROM state_lines WHERE line = ANY(:lines)", lines=lines)


async def _drop_first(tx: Write, line: int, limit: int) -> int:
    """Drop the first `limit` rows of a line, and give how many; 0: it has fewer, and all are still there."""
    last = await tx.one(
        "SELECT key, from_v FROM state_rows WHERE line = :line ORDER BY key, from_v LIMIT 1 OFFSET :others",
        line=line,
        others=limit - 1,
    )
    if last is None:
        return 0
    return await tx.run(
        "DELETE FROM state_rows WHERE line = :line AND (key, from_v) <= (:key, :from_v)",
        line=line,
        key=last[0],
        from_v=last[1],
    )


async def _oldest_referenced(tx: Write, room_id: str) -> dict[int, int]:
    rows = await tx.all(
        "SELECT line, MIN(ver) FROM ("
        " SELECT before_line AS line, before_ver AS ver FROM events WHERE room_id = :room_id"
        " UNION ALL SELECT after_line, after_ver FROM events WHERE room_id = :room_id"
        " UNION ALL SELECT line, ver FROM room_positions WHERE room_id = :room_id"
        " UNION ALL SELECT cur_line, cur_ver FROM rooms WHERE room_id = :room_id"
        ") AS kept WHERE line IS NOT NULL GROUP BY line",
        room_id=room_id,
    )
    return {line: ver for line, ver in rows}


def _follow_bases(lines: dict[int, Line], low: dict[int, int]) -> list[int]:
    """Add to `low` what the kept lines stand on, and tell which of them can do without their base."""
    cut: list[int] = []
    for number in _children_first(lines):
        line = lines[number]
        if number not in low or line.base is None:
            continue
        if line.complete and _base_is_lost(line.base, low[number], low):
            cut.append(number)
            continue
        base_line, base_ver = line.base
        low[base_line] = min(base_ver, low.get(base_line, base_ver))
    return cut


def _children_first(lines: dict[int, Line]) -> list[int]:
    order: TopologicalSorter[int] = TopologicalSorter({number: () for number in lines})
    for line in lines.values():
        if line.base is not None and line.base[0] in lines:
            order.add(line.base[0], line.line)
    return list(order.static_order())


def _base_is_lost(base: Point, lowest: int, low: dict[int, int]) -> bool:
    """Whether a complete line's base is of no use: its version 1 goes, or nothing else keeps that point."""
    return lowest > 1 or base[0] not in low or base[1] < low[base[0]]


async def _drop(tx: Write, lines: list[int]) -> None:
    await tx.run("DELETE FROM state_rows WHERE line = ANY(:lines)", lines=lines)
    await tx.run("DELETE FROM state_lines WHERE line = ANY(:lines)", lines=lines)


async def _trim(tx: Write, heads: dict[int, int]) -> None:
    if not heads:
        return
    rows = [{"line": line, "head": head} for line, head in heads.items()]
    await tx.many("DELETE FROM state_rows WHERE line = :line AND to_v <= :head", rows)
    await tx.many(
        "UPDATE state_rows SET from_v = :first WHERE line = :line AND from_v <= :head AND from_v > :first",
        [{**row, "first": FIRST} for row in rows],
    )
    await tx.many(
        "UPDATE state_lines SET head = :head, dead = (SELECT COUNT(*) FROM state_rows r"
        " WHERE r.line = :line AND r.to_v < :last) WHERE line = :line",
        [{**row, "last": LAST} for row in rows],
    )
