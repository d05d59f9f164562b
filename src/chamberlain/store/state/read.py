"""What the state was at a point."""

from collections.abc import Collection, Iterable
from typing import Final, LiteralString

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import StateKey
from chamberlain.store.state.lines import Point, Step, to_root, way
from chamberlain.store.tx import Read, Row

MANY_KEYS = 1_000
"""From so many keys on it is asked whether reading the whole state is cheaper than looking each one up."""

_NO_EVENT: Final = -1
"""Says in an answer that a row is a tombstone."""


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
        rows = await tx.all(
            # One index seek a key, whatever a planner thinks: older rows of the keys are never touched.
            "SELECT k.key, (SELECT CASE WHEN r.to_v > :ver THEN COALESCE(r.event, :none) END FROM state_rows r"
            " WHERE r.line = :line AND r.key = k.key AND r.from_v <= :ver ORDER BY r.from_v DESC LIMIT 1)"
            " FROM state_keys k WHERE k.key = ANY(:keys)",
            keys=list(asked),
            line=here[0],
            ver=here[1],
            none=_NO_EVENT,
        )
        answered = {key: event for key, event in rows if event is not None}
        found.update((key, event) for key, event in answered.items() if event != _NO_EVENT)
        asked -= answered.keys()
        here = await _base_to_ask(tx, here[0]) if asked else None
    return found


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
        state.update((key, event) for key, event in await rows_of(tx, step))
    return state


_ROWS: Final = "SELECT r.key, r.event FROM state_rows r"
_NAMED: Final = "SELECT k.type, k.state_key, r.event FROM state_rows r CROSS JOIN state_keys k"
_NAME: Final = " AND k.key = r.key"
# Through the index whose end is nearer; the other one would read all history.
_NEAR_TIP: Final = " WHERE r.line = :line AND r.to_v + 0 > :ver AND r.from_v <= :ver"
_NEAR_HEAD: Final = " WHERE r.line = :line AND r.from_v + 0 <= :ver AND r.to_v > :ver"
_BY_KEY: Final = " WHERE r.line = :line AND r.from_v <= :ver AND r.to_v > :ver"


async def rows_of(tx: Read, step: Step) -> list[Row]:
    """What one step says, (key, event or None)."""
    line, ver = step.point
    if _is_near_tip(step):
        return await tx.all(_ROWS + _NEAR_TIP, line=line, ver=ver)
    return await tx.all(_ROWS + _NEAR_HEAD, line=line, ver=ver)


def _is_near_tip(step: Step) -> bool:
    return step.line.tip - step.ver <= step.ver - step.line.head


async def full_by_name(tx: Read, point: Point) -> dict[StateKey, int]:
    """The whole state at a point by (type, state_key)."""
    return await _named(tx, point, _NAMED + _NEAR_TIP + _NAME, _NAMED + _NEAR_HEAD + _NAME)


async def members(tx: Read, point: Point) -> dict[str, int]:
    """The member events at a point by user id, whatever their membership."""
    only = " AND r.key + 0 > 0"
    named = await _named(tx, point, _NAMED + _NEAR_TIP + _NAME + only, _NAMED + _NEAR_HEAD + _NAME + only)
    return {state_key: event for (_, state_key), event in named.items()}


async def without_members(tx: Read, point: Point) -> dict[StateKey, int]:
    """The state at a point but for m.room.member; however many they are, they cost nothing."""
    sql = _NAMED + _BY_KEY + _NAME + " AND r.key < 0"
    return await _named(tx, point, sql, sql)


async def of_types(tx: Read, point: Point, types: Collection[str]) -> dict[StateKey, int]:
    """The state of these types at a point; unless m.room.member is one, members add nothing to the cost."""
    state = await (full_by_name(tx, point) if MEMBER in types else without_members(tx, point))
    return {name: event for name, event in state.items() if name[0] in types}


async def _named(
    tx: Read, point: Point, near_tip: LiteralString, near_head: LiteralString
) -> dict[StateKey, int]:
    state: dict[StateKey, int | None] = {}
    for step in reversed(to_root(await way(tx, point))):
        sql = near_tip if _is_near_tip(step) else near_head
        rows = await tx.all(sql, line=step.line.line, ver=step.ver)
        state.update(((kind, state_key), event) for kind, state_key, event in rows)
    return {name: event for name, event in state.items() if event is not None}


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
