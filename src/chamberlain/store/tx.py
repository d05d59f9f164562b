"""What a store function may do: read, write, and take places in the change stream.

A store function is `async def fn(tx, …)`. It awaits nothing but `tx`: on SQLite it is driven to its end
inside a database thread, where there is no event loop.
"""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, Protocol

import msgspec

Row = tuple[Any, ...]


class Stale(Exception):
    """What a unit was built on is not true any more."""


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row of the change stream.

    `kind` says what changed, `entity` whom it concerns (a room id or a user id), `ref` what exactly (an event
    id, a room id, a device id). `payload` is the changed thing itself where this process made the change; it
    is not stored, so a reader must be able to do without.
    """

    position: int
    kind: str
    entity: str
    ref: str | None = None
    payload: Any = None


class Placement:
    """A place in the change stream that gets its position when the group commits.

    Rows that carry the position are given to `write` and written after the position was taken, in the same
    transaction.
    """

    __slots__ = ("entity", "kind", "payload", "ref", "rows")

    def __init__(self, kind: str, entity: str, ref: str | None, payload: Any) -> None:
        self.kind = kind
        self.entity = entity
        self.ref = ref
        self.payload = payload
        self.rows: list[tuple[LiteralString, dict[str, Any]]] = []

    def write(self, sql: LiteralString, **row: Any) -> None:
        """Have the row written with `:position` bound to this place."""
        self.rows.append((sql, row))


class Read(Protocol):
    """A view of the database."""

    async def one(self, sql: LiteralString, /, **params: Any) -> Row | None:
        """Give the first row, or None."""
        ...

    async def all(self, sql: LiteralString, /, **params: Any) -> list[Row]:
        """Give every row."""
        ...

    async def value(self, sql: LiteralString, /, **params: Any) -> Any:
        """Give the first column of the first row, or None."""
        ...


class Write(Read, Protocol):
    """A transaction."""

    is_alone: bool
    """Whether all in it comes from this call of a batch function. It need not look first then: where the database
    refuses something, everything is undone and it is called once more, not alone."""

    async def run(self, sql: LiteralString, /, **params: Any) -> int:
        """Run a statement and give how many rows it touched."""
        ...

    async def many(self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run one statement for many rows; PostgreSQL runs an `INSERT … VALUES` of them as one set."""
        ...

    async def defer(
        self, sql: LiteralString, rows: Sequence[Mapping[str, Any]], /, *, each: bool = False
    ) -> None:
        """Have many rows inserted before the next statement of the transaction or its end.

        As `many` does, but PostgreSQL writes what is deferred, and what carries positions, in one statement:
        no two of these may touch the same row. With `each`, `Stale` is raised, then or in the end, unless each
        row was written, which its `ON CONFLICT` may have kept it from.
        """
        ...

    def place(self, kind: str, entity: str, ref: str | None = None, payload: Any = None) -> Placement:
        """Take a place in the change stream."""
        ...
