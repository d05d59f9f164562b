"""Servers that this one exchanges things with, and since when those that fail do."""

from typing import Final

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write

FAILING: Final = "failing"
BACK: Final = "back"


class Destination(msgspec.Struct, frozen=True):
    """A server. Times in ms."""

    destination: str
    failing_since: int | None
    """None while it answers."""
    retry_at: int
    """It is not asked before; 0 while it answers."""
    retry_interval: int
    """The wait that ends at `retry_at`: it was asked last that much before."""
    last_answered: int | None
    """To the day; None when it never has."""
    last_error: str | None = None
    """Why it failed last; None while it answers."""


_COLUMNS: Final = (
    "SELECT destination, failing_since, retry_at, retry_interval, last_answered, last_error FROM destinations"
)


async def find(tx: Read, destination: str) -> Destination | None:
    """Give a server, or None when nothing was ever exchanged with it."""
    row = await tx.one(_COLUMNS + " WHERE destination = :destination", destination=destination)
    return None if row is None else Destination(*row)


async def list_failing(tx: Read) -> list[Destination]:
    """Give every server that fails."""
    return [Destination(*row) for row in await tx.all(_COLUMNS + " WHERE failing_since IS NOT NULL")]


async def put_failing(tx: Write, failing: Destination) -> None:
    """Keep that a server fails, and tell."""
    await tx.run(
        "INSERT INTO destinations (destination, failing_since, retry_at, retry_interval, last_error)"
        " VALUES (:destination, :failing_since, :retry_at, :retry_interval, :last_error)"
        " ON CONFLICT (destination) DO UPDATE SET failing_since = excluded.failing_since,"
        " retry_at = excluded.retry_at, retry_interval = excluded.retry_interval,"
        " last_error = excluded.last_error",
        destination=failing.destination,
        failing_since=failing.failing_since,
        retry_at=failing.retry_at,
        retry_interval=failing.retry_interval,
        last_error=failing.last_error,
    )
    tx.place(kinds.DESTINATION, failing.destination, FAILING, payload=failing)


async def put_back(tx: Write, destination: str) -> None:
    """Keep that a server, if it is known, does not fail any more, and tell."""
    await tx.run(
        "UPDATE destinations SET failing_since = NULL, retry_at = 0, retry_interval = 0, last_error = NULL"
        " WHERE destination = :destination",
        destination=destination,
    )
    tx.place(kinds.DESTINATION, destination, BACK, payload=destination)


async def note_answer(tx: Write, destination: str, now: int) -> None:
    """Keep that a server has answered."""
    await tx.run(
        "INSERT INTO destinations (destination, failing_since, retry_at, retry_interval, last_answered)"
        " VALUES (:destination, NULL, 0, 0, :now)"
        " ON CONFLICT (destination) DO UPDATE SET last_answered = excluded.last_answered",
        destination=destination,
        now=now,
    )
