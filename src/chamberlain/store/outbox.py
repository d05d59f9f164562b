"""What waits to be sent to other servers."""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write

_INSERT_EDU: Final = (
    "INSERT INTO outbox_edus (destination, position, edu_key, edu)"
    " VALUES (:destination, :position, :edu_key, :edu)"
)
_DELETE_OLDER: Final = (
    "DELETE FROM outbox_edus WHERE destination = :destination AND edu_key = :edu_key AND position < :position"
)


class WaitingEdu(msgspec.Struct, frozen=True):
    """An EDU in a server's queue, as canonical JSON."""

    position: int
    edu: bytes


def add_edu(tx: Write, destination: str, edu: bytes, key: str | None = None) -> None:
    """Have an EDU sent to a server, at least once, also after a crash.

    `edu`: canonical JSON of {"edu_type", "content"}. With a `key` it takes the place of an earlier one with the same
    key, unless that is under way already.
    """
    add_edu_for_all(tx, (destination,), edu, key)


def add_edu_for_all(tx: Write, destinations: Collection[str], edu: bytes, key: str | None = None) -> None:
    """Have the same EDU sent to several servers, at most 1,000 in one transaction; as `add_edu`."""
    if not destinations:
        return
    entity = next(iter(destinations)) if len(destinations) == 1 else ""
    placement = tx.place(kinds.OUTBOX, entity, payload=tuple(destinations))
    for destination in destinations:
        placement.write(_INSERT_EDU, destination=destination, edu_key=key, edu=edu)
        if key is not None:
            placement.write(_DELETE_OLDER, destination=destination, edu_key=key)


async def list_edus(tx: Read, destination: str, limit: int) -> list[WaitingEdu]:
    """Give the first EDUs of a server's queue."""
    rows = await tx.all(
        "SELECT position, edu FROM outbox_edus WHERE destination = :destination ORDER BY position LIMIT :limit",
        destination=destination,
        limit=limit,
    )
    return [WaitingEdu(*row) for row in rows]


async def list_edu_destinations(tx: Read) -> list[str]:
    """Give the servers for which EDUs wait."""
    return [row[0] for row in await tx.all("SELECT DISTINCT destination FROM outbox_edus")]


async def delete_edus(tx: Write, destination: str, positions: Sequence[int]) -> None:
    """Take EDUs out of a server's queue."""
    await tx.run(
        "DELETE FROM outbox_edus WHERE destination = :destination AND position = ANY(:positions)",
        destination=destination,
        positions=list(positions),
    )
