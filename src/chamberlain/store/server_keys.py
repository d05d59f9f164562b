"""The keys of other servers, in the answers that they have signed."""

from collections.abc import Collection
from typing import Final

import msgspec

from chamberlain.store.tx import Read, Write

KEPT_OF_ONE: Final = 8
"""Answers of one server: one that changes its keys all the time does not fill the database."""


class KeyAnswer(msgspec.Struct, frozen=True):
    """What a server said of its keys."""

    fetched_at: int
    """In ms."""
    answer: bytes
    """Canonical JSON, signed."""


async def find(tx: Read, server_name: str) -> list[KeyAnswer]:
    """Give the answers of a server, the oldest first: the latest one, and those before it that have other keys."""
    rows = await tx.all(
        "SELECT fetched_at, answer FROM server_keys WHERE server_name = :server_name ORDER BY fetched_at",
        server_name=server_name,
    )
    return [KeyAnswer(*row) for row in rows]


async def put(tx: Write, server_name: str, key_ids: Collection[str], found: KeyAnswer) -> None:
    """Keep the latest answer of a server, in place of those that have no key that it has not."""
    rows = await tx.all(
        "SELECT fetched_at, key_ids FROM server_keys WHERE server_name = :server_name"
        " ORDER BY fetched_at DESC",
        server_name=server_name,
    )
    if rows and rows[0][0] >= found.fetched_at:
        # Of two at the same time the second one is later.
        found = KeyAnswer(rows[0][0] + 1, found.answer)
    others = [at for at, ids in rows if not set(key_ids).issuperset(ids.split())]
    kept = others[: KEPT_OF_ONE - 1]
    await tx.run(
        "DELETE FROM server_keys WHERE server_name = :server_name AND fetched_at <> ALL(:kept)",
        server_name=server_name,
        kept=kept,
    )
    await tx.run(
        "INSERT INTO server_keys (server_name, fetched_at, key_ids, answer)"
        " VALUES (:server_name, :fetched_at, :key_ids, :answer) ON CONFLICT DO NOTHING",
        server_name=server_name,
        fetched_at=found.fetched_at,
        key_ids=" ".join(key_ids),
        answer=found.answer,
    )
