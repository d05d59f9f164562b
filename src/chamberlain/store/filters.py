"""Filters that clients have uploaded (client-server API, Filtering)."""

from chamberlain.store.tx import Read, Write


async def add(tx: Write, user_id: str, filter_id: str, definition: bytes) -> None:
    """Keep a filter's JSON under an id that follows from it; keeping it again changes nothing."""
    await tx.run(
        "INSERT INTO filters (user_id, filter_id, definition) VALUES (:user_id, :filter_id, :definition)"
        " ON CONFLICT (user_id, filter_id) DO NOTHING",
        user_id=user_id,
        filter_id=filter_id,
        definition=definition,
    )


async def find(tx: Read, user_id: str, filter_id: str) -> bytes | None:
    """Give a filter's JSON, or None."""
    definition: bytes | None = await tx.value(
        "SELECT definition FROM filters WHERE user_id = :user_id AND filter_id = :filter_id",
        user_id=user_id,
        filter_id=filter_id,
    )
    return definition


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete the filters of a user."""
    await tx.run("DELETE FROM filters WHERE user_id = :user_id", user_id=user_id)
