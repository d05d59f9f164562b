"""Write state: appending to the current line, placing a merged state, and starting a line anew."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from chamberlain.store.state.lines import (
    FIRST,
    LAST,
    Line,
    Point,
    Step,
    add_line,
    find_line,
    get_line,
    to_root,
    way,
)
from chamberlain.store.state.read import full, get_many, stacked
from chamberlain.store.tx import Placement, Read, Write

FLATTEN = 2
"""An overlay that is at most this many times as large as those above it is flattened with them."""
FLOOR = 64
"""Below so many rows neither a complete copy nor a new epoch is worth it."""
EPOCH = 4
"""A current line with more than this many dead rows to a live one is left for a copy."""
RECOUNT = 256
"""After so many versions of the current line its rows are counted."""


class View(msgspec.Struct, frozen=True):
    """A state that may not be stored: a point, and what differs from it (None: the key has no event)."""

    point: Point
    changes: Mapping[int, int | None] = {}


async def view_values(tx: Read, view: View, keys: set[int]) -> dict[int, int]:
    """The events of these keys in a view; keys without one are left out."""
    values = await get_many(tx, view.point, keys - view.changes.keys())
    for key in keys & view.changes.keys():
        event = view.changes[key]
        if event is not None:
            values[key] = event
    return values


async def effective(tx: Read, view: View) -> dict[int, int | None]:
    """The changes of a view that its point does not hold already."""
    if not view.changes:
        return {}
    stored = await get_many(tx, view.point, view.changes)
    return {key: event for key, event in view.changes.items() if stored.get(key) != event}


# --------------------------------------------------------------------------------------------- current state


async def new_room_line(tx: Write, room_id: str, line: int) -> Point:
    """A room has an empty complete line; its point before the first event is given."""
    await add_line(tx, room_id, line, None, complete=True, first=0, live=0)
    return line, 0


async def append_many(
    tx: Write,
    appends: Sequence[tuple[int, int, Sequence[tuple[int, int]]]],
    new_keys: Collection[int] = (),
) -> None:
    """Current lines have grown by one version for each change: (line, version so far, [(key, event), …]).

    For local events on their rooms' current lines, all rooms of a batch together: two statements. No state has
    any of `new_keys` yet. The callers hold the rooms' heads, move them to version + len(changes), and then ask
    `epoch_is_due`.
    """
    closed: list[dict[str, int]] = []
    rows: list[dict[str, int]] = []
    for line, version, changes in appends:
        newest: dict[int, dict[str, int]] = {}
        for ver, (key, event) in enumerate(changes, version + 1):
            row = {"line": line, "key": key, "from_v": ver, "to_v": LAST, "event": event}
            if key in newest:
                newest[key]["to_v"] = ver
            elif version > 0 and key not in new_keys:
                closed.append({"line": line, "key": key, "ver": ver, "last": LAST})
            newest[key] = row
            rows.append(row)
    if closed:
        # By the whole primary key: through the index on to_v an update costs 35 times as much.
        await tx.many(
            "UPDATE state_rows SET to_v = :ver WHERE line = :line AND key = :key AND to_v = :last AND"
            " from_v = (SELECT MAX(x.from_v) FROM state_rows x WHERE x.line = :line AND x.key = :key)",
            closed,
        )
    if rows:
        await _put(tx, rows)


async def _put(tx: Write, rows: Sequence[Mapping[str, int | None]]) -> None:
    await tx.defer(
        "INSERT INTO state_rows (line, key, from_v, to_v, event)"
        " VALUES (:line, :key, :from_v, :to_v, :event)",
        rows,
    )


async def _put_whole(tx: Write, line: int, state: Mapping[int, int | None]) -> None:
    rows = [
        {"line": line, "key": key, "from_v": FIRST, "to_v": LAST, "event": event}
        for key, event in state.items()
    ]
    if rows:
        await _put(tx, rows)


def epoch_is_due(version_before: int, version_after: int) -> bool:
    """Whether the current line has grown enough that `renew` should look at it."""
    return version_before // RECOUNT != version_after // RECOUNT


async def advance_current(
    tx: Write, room_id: str, point: Point, changes: Mapping[int, int | None], lines: Iterator[int]
) -> Point:
    """The current line has one version more, with all these changes; the room's new current point is given.

    For what is merged, replaced or recomputed. The caller holds the room's head and moves it.
    """
    line = msgspec.structs.replace(await get_line(tx, point[0]), tip=point[1])
    moved = await _append(tx, line, changes)
    return await renew(tx, room_id, point[1], moved, lines)


async def renew(tx: Write, room_id: str, version_before: int, point: Point, lines: Iterator[int]) -> Point:
    """The current point, which is that of a fresh copy where most rows of the current line were dead."""
    line = await get_line(tx, point[0])
    if not epoch_is_due(version_before, point[1]) and not _is_worn(line):
        return point
    counted = await tx.all(
        "SELECT CASE WHEN to_v = :last THEN 1 ELSE 0 END AS live, COUNT(*) FROM state_rows"
        " WHERE line = :line GROUP BY 1",
        line=point[0],
        last=LAST,
    )
    count: dict[int, int] = {live: rows for live, rows in counted}
    line = msgspec.structs.replace(line, tip=point[1], live=count.get(1, 0), dead=count.get(0, 0))
    await _save(tx, line)
    return (await _copy(tx, room_id, point, next(lines)), 1) if _is_worn(line) else point


def _is_worn(line: Line) -> bool:
    return line.dead > EPOCH * max(line.live, FLOOR)


async def _save(tx: Write, line: Line) -> None:
    await tx.run(
        "UPDATE state_lines SET tip = :tip, head = :head, live = :live, dead = :dead WHERE line = :line",
        line=line.line,
        tip=line.tip,
        head=line.head,
        live=line.live,
        dead=line.dead,
    )


async def _copy(tx: Write, room_id: str, point: Point, line: int) -> int:
    """Make a complete line whose version 1 is the point."""
    state = await full(tx, point)
    await add_line(tx, room_id, line, point, complete=True, first=1, live=len(state))
    await _put_whole(tx, line, state)
    return line


def note_position(placement: Placement, room_id: str, point: Point) -> None:
    """The room's current state stands at this point from the placement's position on."""
    placement.write(
        "INSERT INTO room_positions (room_id, position, line, ver) VALUES (:room_id, :position, :line, :ver)",
        room_id=room_id,
        line=point[0],
        ver=point[1],
    )


# ------------------------------------------------------------------------------------------- both line ends


async def _append(tx: Write, line: Line, changes: Mapping[int, int | None]) -> Point:
    """Add one version at the tip."""
    tip = line.tip + 1
    standing = await tx.all(
        "SELECT k.key, (SELECT CASE WHEN r.to_v = :last THEN r.from_v END FROM state_rows r"
        " WHERE r.line = :line AND r.key = k.key ORDER BY r.from_v DESC LIMIT 1)"
        " FROM state_keys k WHERE k.key = ANY(:keys)",
        keys=list(changes),
        line=line.line,
        last=LAST,
    )
    closed = [
        {"line": line.line, "key": key, "from_v": from_v, "to_v": tip}
        for key, from_v in standing
        if from_v is not None
    ]
    if closed:
        await tx.many(
            "UPDATE state_rows SET to_v = :to_v WHERE line = :line AND key = :key AND from_v = :from_v",
            closed,
        )
    rows = await _not_inherited(tx, line, changes)
    if rows:
        await _put(
            tx,
            [
                {"line": line.line, "key": key, "from_v": tip, "to_v": LAST, "event": event}
                for key, event in rows.items()
            ],
        )
    live, dead = line.live + len(rows) - len(closed), line.dead + len(closed)
    await _save(tx, msgspec.structs.replace(line, tip=tip, live=live, dead=dead))
    return line.line, tip


async def _prepend(tx: Write, line: Line, changes: Mapping[int, int | None]) -> Point:
    """Add one version below the head, where these changes hold; what held at the head begins there."""
    await tx.many(
        "UPDATE state_rows SET from_v = :head WHERE line = :line AND key = :key AND from_v = :first",
        [{"line": line.line, "key": key, "head": line.head, "first": FIRST} for key in changes],
    )
    rows = await _not_inherited(tx, line, changes)
    if rows:
        await _put(
            tx,
            [
                {"line": line.line, "key": key, "from_v": FIRST, "to_v": line.head, "event": event}
                for key, event in rows.items()
            ],
        )
    await _save(tx, msgspec.structs.replace(line, head=line.head - 1, dead=line.dead + len(rows)))
    return line.line, line.head - 1


async def _not_inherited(tx: Read, line: Line, changes: Mapping[int, int | None]) -> Mapping[int, int | None]:
    """The changes that need a row: all whose event the line would not have by itself."""
    inherited = {} if line.complete or line.base is None else await get_many(tx, line.base, changes.keys())
    return {key: event for key, event in changes.items() if inherited.get(key) != event}


# ---------------------------------------------------------------------------------------------- side lines


async def place(
    tx: Write, room_id: str, view: View, current: Point, lines: Iterator[int], *, backfilled: bool = False
) -> Point:
    """The view is stored, and here is its point.

    `current` is the room's current point: that line is never appended to here. `backfilled` says that the
    view is the state before a backfilled event, given whole by another server: at the head of a line it
    prolongs that line into the past. `lines` gives new line ids, LINES_PER_WRITE of them at most.
    """
    changes = await effective(tx, view)
    if not changes:
        return view.point
    line = await _lock_line(tx, view.point[0])
    if backfilled and view.point[1] == line.head:
        return await _prepend(tx, line, changes)
    if line.line != current[0] and view.point[1] == line.tip:
        return await _append(tx, line, changes)
    base = await _flattened(tx, room_id, view.point, len(changes), lines)
    new = next(lines)
    await add_line(tx, room_id, new, base, complete=False, first=1, live=len(changes))
    await _put_whole(tx, new, changes)
    return new, 1


async def _lock_line(tx: Write, line: int) -> Line:
    # Two workers that fork off the same point must not both prolong its line.
    touched = await tx.run("UPDATE state_lines SET tip = tip WHERE line = :line", line=line)
    found = await find_line(tx, line) if touched else None
    if found is None:
        raise LookupError(f"state line {line} is gone")
    return found


async def _flattened(tx: Write, room_id: str, point: Point, size: int, lines: Iterator[int]) -> Point:
    """A point of the same meaning with few lines between it and its root.

    The overlays on the way shrink upward by a factor, so that their number is logarithmic.
    """
    steps = to_root(await way(tx, point))
    overlays = steps if not steps[-1].line.complete else steps[:-1]
    total, count = size, 0
    for n, step in enumerate(overlays, 1):
        if step.line.live <= FLATTEN * total:
            count = n
        total += step.line.live
    if count < 2:
        return point
    known = await tx.one(
        "SELECT to_line, to_ver FROM state_alias WHERE line = :line AND ver = :ver",
        line=point[0],
        ver=point[1],
    )
    if known is not None:
        return known[0], known[1]
    target = await _flatten(tx, room_id, steps, count, lines)
    await tx.run(
        "INSERT INTO state_alias (line, ver, to_line, to_ver) VALUES (:line, :ver, :to_line, :to_ver)",
        line=point[0],
        ver=point[1],
        to_line=target[0],
        to_ver=target[1],
    )
    return target


async def _flatten(tx: Write, room_id: str, steps: list[Step], count: int, lines: Iterator[int]) -> Point:
    point, base = steps[0].point, steps[count - 1].line.base
    if base is None:
        return await _copy(tx, room_id, point, next(lines)), 1
    together = await effective(tx, View(base, await stacked(tx, steps[:count])))
    if len(together) > max(FLOOR, steps[-1].line.live // 2):
        return await _copy(tx, room_id, point, next(lines)), 1
    if not together:
        return base
    line = next(lines)
    await add_line(tx, room_id, line, base, complete=False, first=1, live=len(together))
    await _put_whole(tx, line, together)
    return line, 1
