"""The group writer's transaction: many units of work, one commit, one run of positions.

Written once for both databases: it is awaited on PostgreSQL and driven inside the writer thread on SQLite.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, LiteralString, Protocol

from chamberlain.runtime.metrics import Distribution
from chamberlain.store.tx import Change, Placement, Write

GROUP_SIZE = 64

COMMIT_UNITS = Distribution(
    "commit_units", "Units of work that were committed together.", (1, 2, 4, 8, 16, 32, 64)
)
COMMIT_SECONDS = Distribution(
    "commit_seconds",
    "Seconds that a transaction of the group writer took.",
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)


INSERT_CHANGE: LiteralString = (
    "INSERT INTO changes (position, kind, entity, ref, at) VALUES (:position, :kind, :entity, :ref, :at)"
)
TAKE_POSITIONS: LiteralString = (
    "UPDATE sequences SET value = value + :n WHERE name = 'position' RETURNING value - :n"
)
Statements = dict[LiteralString, list[dict[str, Any]]]


class GroupTx(Write, Protocol):
    """A driver's transaction, with what only the group writer may touch."""

    placements: list[Placement]

    async def script(self, sql: LiteralString, /) -> None:
        """Run a statement that gives nothing: BEGIN, SAVEPOINT, COMMIT."""
        ...

    async def finish(self, count: int, placed: Statements) -> int:
        """Take `count` positions, write the rows that carry them and what was deferred; give the position before.

        The rows' `position` is their place among the `count`, from 1 on.
        """
        ...


class Unit:
    """One call of `Database.write`, or one item of `Database.write_batch`."""

    __slots__ = ("args", "batched", "deliver", "error", "fn", "result")

    def __init__(
        self,
        fn: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        deliver: Callable[["Unit"], None],
        *,
        batched: bool = False,
    ) -> None:
        self.fn = fn
        self.args = args
        self.deliver = deliver
        self.batched = batched
        self.result: Any = None
        self.error: BaseException | None = None


async def run_group(tx: GroupTx, units: Sequence[Unit], now: Callable[[], int]) -> list[Change]:
    """Run the units, each apart from the others' failures, commit once, and give the changes made.

    Units of one batch function run in one call. A unit that failed has `error` set and left nothing behind.
    """
    began = perf_counter()
    batches: dict[Callable[..., Awaitable[Any]], list[Unit]] = {}
    singles: list[Unit] = []
    for unit in units:
        if unit.batched:
            batches.setdefault(unit.fn, []).append(unit)
        else:
            singles.append(unit)
    alone = len(singles) + len(batches) == 1
    try:
        changes = await _commit(tx, batches, singles, now, alone=alone)
    except Exception:
        if not alone or singles:
            raise
        # It is not known which of them it was: once more, with savepoints, and looking before writing.
        changes = await _commit(tx, batches, singles, now, alone=False)
    COMMIT_UNITS.observe(len(units))
    COMMIT_SECONDS.observe(perf_counter() - began)
    return changes


async def _commit(
    tx: GroupTx,
    batches: Mapping[Callable[..., Awaitable[Any]], list[Unit]],
    singles: Sequence[Unit],
    now: Callable[[], int],
    *,
    alone: bool,
) -> list[Change]:
    tx.placements = []
    tx.is_alone = alone
    await tx.script("BEGIN IMMEDIATE")
    try:
        for fn, batch in batches.items():
            await _run_batch(tx, fn, batch, alone=alone)
        for unit in singles:
            await _run_single(tx, unit, alone=alone)
        changes = await _take_positions(tx, now())
        await tx.script("COMMIT")
    except BaseException:
        await tx.script("ROLLBACK")
        raise
    return changes


async def _run_single(tx: GroupTx, unit: Unit, *, alone: bool) -> None:
    if alone:
        unit.result = await unit.fn(tx, *unit.args)
        return
    kept = len(tx.placements)
    await tx.script("SAVEPOINT unit")
    try:
        unit.result = await unit.fn(tx, *unit.args)
    except Exception as error:
        unit.error = error
        del tx.placements[kept:]
        await tx.script("ROLLBACK TO SAVEPOINT unit")
    await tx.script("RELEASE SAVEPOINT unit")


async def _run_batch(
    tx: GroupTx, fn: Callable[..., Awaitable[Any]], batch: list[Unit], *, alone: bool
) -> None:
    if alone:
        await _call_batch(tx, fn, batch)
        return
    kept = len(tx.placements)
    await tx.script("SAVEPOINT unit")
    try:
        await _call_batch(tx, fn, batch)
    except Exception as error:
        del tx.placements[kept:]
        await tx.script("ROLLBACK TO SAVEPOINT unit")
        await tx.script("RELEASE SAVEPOINT unit")
        if len(batch) == 1:
            batch[0].error = error
            return
        for unit in batch:
            await _run_batch(tx, fn, [unit], alone=False)
        return
    await tx.script("RELEASE SAVEPOINT unit")


async def _call_batch(tx: GroupTx, fn: Callable[..., Awaitable[Any]], batch: list[Unit]) -> None:
    results = await fn(tx, [unit.args[0] for unit in batch])
    for unit, result in zip(batch, results, strict=True):
        unit.result = result


async def _take_positions(tx: GroupTx, now: int) -> list[Change]:
    placements = tx.placements
    changes: list[dict[str, Any]] = []
    statements: Statements = {INSERT_CHANGE: changes} if placements else {}
    for place, placement in enumerate(placements, 1):
        changes.append(
            {
                "position": place,
                "kind": placement.kind,
                "entity": placement.entity,
                "ref": placement.ref,
                "at": now,
            }
        )
        for sql, row in placement.rows:
            row["position"] = place
            statements.setdefault(sql, []).append(row)
    base = await tx.finish(len(placements), statements)
    return [
        Change(base + place, placement.kind, placement.entity, placement.ref, placement.payload)
        for place, placement in enumerate(placements, 1)
    ]
