"""The numbers of state keys, known or reserved before the commit that needs them."""

from collections.abc import Collection, Mapping
from typing import Final

from chamberlain.matrix.types import StateKey
from chamberlain.runtime.cache import Cache
from chamberlain.store.commit import Unit
from chamberlain.store.database import Database
from chamberlain.store.sequences import Sequence as Ids
from chamberlain.store.state.keys import find_keys, number_for

KEPT: Final = 10_000
_NONE: Final = 0
"""Stands for: it had none when it was looked for. Should that have changed, the commit finds out."""


class StateKeys:
    """What is known of the numbers, which never change."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._ids = Ids(db, "state_key")
        self._known: Cache[StateKey, int] = Cache(KEPT, "state keys")

    def note(self, names: Collection[StateKey], numbers: Mapping[StateKey, int]) -> None:
        """These names were looked for, and have these numbers."""
        for name in names:
            self._known.set(name, numbers.get(name, _NONE))

    async def number(self, unit: Unit) -> None:
        """Give the unit the numbers that it needs."""
        names = {event.state_key for event in unit.events if event.state_key is not None}
        if not names:
            return
        unknown = [name for name in names if name not in self._known]
        if unknown:
            self.note(unknown, await self._db.read(find_keys, unknown))
        unit.keys = {name: number for name in names if (number := self._known.get(name, _NONE)) != _NONE}
        new = sorted(names - unit.keys.keys())
        if new:
            reserved = await self._ids.take(len(new))
            unit.new_keys = {name: number_for(name, n) for name, n in zip(new, reserved, strict=True)}
            for name in new:
                # Whatever number it gets in the end, the next one to ask looks for it.
                self._known.pop(name)
