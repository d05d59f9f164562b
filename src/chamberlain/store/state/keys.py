"""State keys as numbers: those of m.room.member are positive, all others negative."""

from collections.abc import Collection, Iterable, Mapping
from typing import LiteralString

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import StateKey
from chamberlain.store.sequences import advance
from chamberlain.store.tx import Read, Write

_INSERT: LiteralString = (
    "INSERT INTO state_keys (key, type, state_key) VALUES (:key, :type, :state_key)"
    " ON CONFLICT (type, state_key) DO NOTHING"
)


async def find_keys(tx: Read, names: Collection[StateKey]) -> dict[StateKey, int]:
    """The numbers of those names that have one."""
    found: dict[StateKey, int] = {}
    plain = [kind for kind, state_key in names if not state_key]
    if plain:
        rows = await tx.all(
            "SELECT type, key FROM state_keys WHERE state_key = '' AND type = ANY(:types)", types=plain
        )
        found.update(((kind, ""), key) for kind, key in rows)
    by_type: dict[str, list[str]] = {}
    for kind, state_key in names:
        if state_key:
            by_type.setdefault(kind, []).append(state_key)
    for kind, state_keys in by_type.items():
        rows = await tx.all(
            "SELECT state_key, key FROM state_keys WHERE type = :type AND state_key = ANY(:state_keys)",
            type=kind,
            state_keys=state_keys,
        )
        found.update(((kind, state_key), key) for state_key, key in rows)
    return found


def number_for(name: StateKey, number: int) -> int:
    """The number that a name gets of a reserved one."""
    return number if name[0] == MEMBER else -number


async def add_keys(tx: Write, numbers: Mapping[StateKey, int]) -> None:
    """These names, which were not found before, have these numbers; raises Stale where one had another already."""
    rows = [{"key": number, "type": name[0], "state_key": name[1]} for name, number in numbers.items()]
    await tx.defer(_INSERT, rows, each=True)


async def intern_keys(tx: Write, names: Collection[StateKey]) -> dict[StateKey, int]:
    """Every name has a number, and here they are.

    It may run in a transaction of its own before the one that needs the numbers; on PostgreSQL it should,
    where a name is new, since it holds the counter's row until the commit.
    """
    found = await find_keys(tx, names)
    new = sorted(set(names) - found.keys())
    if not new:
        return found
    last = await advance(tx, "state_key", len(new))
    await tx.many(
        _INSERT,
        [
            {"key": number_for(name, number), "type": name[0], "state_key": name[1]}
            for number, name in enumerate(new, last - len(new) + 1)
        ],
    )
    found.update(await find_keys(tx, new))
    return found


async def names_of(tx: Read, keys: Iterable[int]) -> dict[int, StateKey]:
    """The names that these numbers stand for."""
    rows = await tx.all("SELECT key, type, state_key FROM state_keys WHERE key = ANY(:keys)", keys=list(keys))
    return {key: (kind, state_key) for key, kind, state_key in rows}
