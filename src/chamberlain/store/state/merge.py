"""Merging states: find what conflicts, and after resolution the nearest way to write the result.

The steps of the state before an event whose previous events are not the room's extremities, or that came
with state of its own:

1. `after` its previous events, and `given` for each state that another server gave: the views.
2. `compare` them. Without conflicts go on to 4 with nothing resolved.
3. `auth.ingredients`; load those events; `auth.unconflicted` for the keys that the pure rules ask for;
   `matrix.resolution.resolve`, outside of SQL.
4. `settle` gives one view.
5. In the writing transaction, under the room's head: `place` gives the point to record with the event, and
   `remember_after` spares the next event the same work.

The room's new current state is made alike from its extremities, and `changes_to` tells what to give to
`advance_current`.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from chamberlain.store.state.difference import changed_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import full
from chamberlain.store.state.write import View, effective, view_values
from chamberlain.store.tx import Read, Write

FEW = 16
"""A result that changes more keys than this is also measured against the current state."""


class Comparison(msgspec.Struct, frozen=True):
    """Different views, and for each key in which they differ its event in each of them."""

    views: tuple[View, ...]
    conflicts: Mapping[int, tuple[int | None, ...]]


async def after(tx: Read, nids: Iterable[int]) -> list[View]:
    """The state after each of these events, in their order.

    Raises LookupError for an event that is unknown or has no point, as outliers have none.
    """
    wanted = list(nids)
    rows = await tx.all(
        "SELECT e.nid, e.before_line, e.before_ver, e.after_line, e.after_ver, e.state_key IS NOT NULL,"
        " e.rejected IS NOT NULL, k.key FROM events e"
        " LEFT JOIN state_keys k ON k.type = e.type AND k.state_key = e.state_key WHERE e.nid = ANY(:nids)",
        nids=wanted,
    )
    views: dict[int, View] = {}
    for nid, before_line, before_ver, after_line, after_ver, is_state, is_rejected, key in rows:
        if before_line is None:
            continue
        if is_rejected or not is_state:
            views[nid] = View((before_line, before_ver))
        elif after_line is not None:
            views[nid] = View((after_line, after_ver))
        elif key is not None:
            views[nid] = View((before_line, before_ver), {key: nid})
    missing = [nid for nid in wanted if nid not in views]
    if missing:
        raise LookupError(f"no state is known after {missing}")
    return [views[nid] for nid in wanted]


async def given(tx: Read, hint: Point, state: Mapping[int, int]) -> View:
    """A state that came whole from another server, as what differs from `hint`, a point likely to be near."""
    known = await full(tx, hint)
    keys = known.keys() | state.keys()
    return View(hint, {key: state.get(key) for key in keys if known.get(key) != state.get(key)})


async def compare(tx: Read, views: Sequence[View]) -> Comparison:
    """The different ones among these views, and the keys in which they differ."""
    different: list[View] = []
    for view in views:
        if view not in different:
            different.append(view)
    if len(different) == 1:
        return Comparison((different[0],), {})
    first = different[0]
    keys = set(first.changes)
    for view in different[1:]:
        keys |= await changed_keys(tx, first.point, view.point) | view.changes.keys()
    values = [await view_values(tx, view, keys) for view in different]
    conflicts: dict[int, tuple[int | None, ...]] = {}
    for key in keys:
        events = tuple([state.get(key) for state in values])
        if any(event != events[0] for event in events):
            conflicts[key] = events
    return Comparison(tuple(different), conflicts)


async def settle(tx: Read, comparison: Comparison, resolved: Mapping[int, int], current: Point) -> View:
    """The merged state as few changes to a stored point.

    `resolved` is what resolution gave: its events for the conflicting keys (one that it left out has no event
    any more), and what it added for others.
    """
    if not comparison.conflicts:
        return min(comparison.views, key=lambda view: len(view.changes))
    outcome: dict[int, int | None] = dict.fromkeys(comparison.conflicts)
    outcome.update(resolved)
    nearest: View | None = None
    cost = (0, False)
    for n, view in enumerate(comparison.views):
        changes = dict(view.changes)
        for key, event in outcome.items():
            was = comparison.conflicts.get(key)
            if was is None or was[n] != event:
                changes[key] = event
        candidate = View(view.point, await effective(tx, View(view.point, changes)))
        its_cost = (len(candidate.changes), view.point != current)
        if nearest is None or its_cost < cost:
            nearest, cost = candidate, its_cost
    assert nearest is not None
    if cost[0] > FEW:
        from_current = await changes_to(tx, current, nearest)
        if len(from_current) < cost[0]:
            return View(current, from_current)
    return nearest


async def changes_to(tx: Read, point: Point, view: View) -> dict[int, int | None]:
    """What would make the state at a point equal to the view."""
    keys = await changed_keys(tx, point, view.point) | view.changes.keys()
    is_now = await view_values(tx, View(point), keys)
    should_be = await view_values(tx, view, keys)
    return {key: should_be.get(key) for key in keys if is_now.get(key) != should_be.get(key)}


async def remember_after(tx: Write, nid: int, point: Point) -> None:
    """The state after an event stands at this point, so that it need not be placed again."""
    await tx.run(
        "UPDATE events SET after_line = :line, after_ver = :ver WHERE nid = :nid",
        nid=nid,
        line=point[0],
        ver=point[1],
    )


async def replace_before(tx: Write, nid: int, point: Point) -> None:
    """The state before an event is another one than was thought; what was remembered after it is forgotten.

    For an event whose state came late (a join with partial state) and its descendants, each in turn.
    """
    await tx.run(
        "UPDATE events SET before_line = :line, before_ver = :ver, after_line = NULL, after_ver = NULL"
        " WHERE nid = :nid",
        nid=nid,
        line=point[0],
        ver=point[1],
    )
