"""How far followers of the change stream have come."""

from collections.abc import Sequence

from chamberlain.store.tx import Read, Write


async def get(tx: Read, name: str) -> int:
    """Give the position up to which a follower has worked; 0 for one that has never run."""
    return await find(tx, name) or 0


async def find(tx: Read, name: str) -> int | None:
    """Give the position up to which a follower has worked; None for one that has never run."""
    position: int | None = await tx.value("SELECT position FROM followers WHERE name = :name", name=name)
    return position


async def begin(tx: Write, names: Sequence[str], position: int) -> None:
    """Have followers that have never run begin after a position."""
    await tx.many(
        "INSERT INTO followers (name, position) VALUES (:name, :position) ON CONFLICT (name) DO NOTHING",
        [{"name": name, "position": position} for name in names],
    )


async def advance(tx: Write, name: str, position: int) -> None:
    """Move a follower's cursor; it never goes back."""
    await tx.run(
        "INSERT INTO followers (name, position) VALUES (:name, :position)"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position"
        " WHERE followers.position < excluded.position",
        name=name,
        position=position,
    )


async def move(tx: Write, name: str, before: int, position: int) -> bool:
    """Move a follower's cursor from where it was read; False where another worker has moved it meanwhile."""
    if before == 0:
        await tx.run(
            "INSERT INTO followers (name, position) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING",
            name=name,
        )
    return bool(
        await tx.run(
            "UPDATE followers SET position = :position WHERE name = :name AND position = :before",
            name=name,
            before=before,
            position=position,
        )
    )


async def list_profile_changes(tx: Read, after: int, limit: int) -> list[tuple[int, str]]:
    """Give (position, user id) of the profile changes after a position, in order."""
    rows = await tx.all(
        "SELECT position, entity FROM changes WHERE kind = 'profile' AND position > :after"
        " ORDER BY position LIMIT :limit",
        after=after,
        limit=limit,
    )
    return [(row[0], row[1]) for row in rows]


async def forget(tx: Write, prefix: str) -> None:
    """Forget the cursors of followers that do not run any more, so that nothing is kept for them."""
    await tx.run("DELETE FROM followers WHERE name LIKE :prefix || '%'", prefix=prefix)
