"""Points, lines and the way from a point to its root."""

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from chamberlain.store.tx import Read, Write

Point: TypeAlias = tuple[int, int]
"""A place in the state of a room: (line, version). What a recorded point means never changes."""

FIRST: Final = -(2**31)
"""`from_v` of the rows that hold at the head of their line."""
LAST: Final = 2**31 - 1
"""`to_v` of the rows that hold at the tip of their line."""

LINES_PER_WRITE: Final = 4
"""How many line ids one call of a writing function takes at most."""


class Line(msgspec.Struct, frozen=True):
    """One row of `state_lines`."""

    line: int
    base: Point | None
    complete: bool
    head: int
    tip: int
    live: int
    dead: int


class Step(msgspec.Struct, frozen=True):
    """A line on the way from a point to its root, and the version at which the way meets it."""

    line: Line
    ver: int

    @property
    def point(self) -> Point:
        """The step as a point."""
        return self.line.line, self.ver


def _line(row: tuple[int, int | None, int | None, bool, int, int, int, int]) -> Line:
    line, base_line, base_ver, complete, head, tip, live, dead = row
    base = None if base_line is None or base_ver is None else (base_line, base_ver)
    return Line(line, base, bool(complete), head, tip, live, dead)


async def find_line(tx: Read, line: int) -> Line | None:
    """The line, or None where it was purged."""
    row = await tx.one(
        "SELECT line, base_line, base_ver, complete, head, tip, live, dead FROM state_lines"
        " WHERE line = :line",
        line=line,
    )
    return None if row is None else _line(row)


async def get_line(tx: Read, line: int) -> Line:
    """The line.

    Raises LookupError where it was purged: the caller worked on a head that is no longer the room's.
    """
    found = await find_line(tx, line)
    if found is None:
        raise LookupError(f"state line {line} is gone")
    return found


async def lines_of(tx: Read, room_id: str) -> list[Line]:
    """Every line of a room."""
    rows = await tx.all(
        "SELECT line, base_line, base_ver, complete, head, tip, live, dead FROM state_lines"
        " WHERE room_id = :room_id",
        room_id=room_id,
    )
    return [_line(row) for row in rows]


async def way(tx: Read, point: Point) -> list[Step]:
    """The steps from a point to the oldest line that it grew from, complete lines passed through."""
    rows = await tx.all(
        "WITH RECURSIVE way(n, line, ver) AS ("
        " SELECT 0, CAST(:line AS BIGINT), CAST(:ver AS BIGINT)"
        " UNION ALL SELECT w.n + 1, l.base_line, l.base_ver FROM way w JOIN state_lines l ON l.line = w.line"
        " WHERE l.base_line IS NOT NULL)"
        " SELECT w.ver, l.line, l.base_line, l.base_ver, l.complete, l.head, l.tip, l.live, l.dead"
        " FROM way w JOIN state_lines l ON l.line = w.line ORDER BY w.n",
        line=point[0],
        ver=point[1],
    )
    if not rows:
        raise LookupError(f"state line {point[0]} is gone")
    return [Step(_line(row[1:]), row[0]) for row in rows]


def to_root(steps: Iterable[Step]) -> list[Step]:
    """The steps that answer for a point: those down to the first complete line."""
    answering: list[Step] = []
    for step in steps:
        answering.append(step)
        if step.line.complete:
            break
    return answering


async def add_line(
    tx: Write, room_id: str, line: int, base: Point | None, *, complete: bool, first: int, live: int
) -> None:
    """A line with one version, `first`, exists; its rows are the caller's business."""
    row = {
        "line": line,
        "room_id": room_id,
        "base_line": None if base is None else base[0],
        "base_ver": None if base is None else base[1],
        "complete": complete,
        "first": first,
        "live": live,
    }
    await tx.defer(
        "INSERT INTO state_lines (line, room_id, base_line, base_ver, complete, head, tip, live, dead)"
        " VALUES (:line, :room_id, :base_line, :base_ver, :complete, :first, :first, :live, 0)",
        [row],
    )
