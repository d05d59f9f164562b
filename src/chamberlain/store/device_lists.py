"""Who changed their devices or keys, and whom that concerns (client-server API, Tracking the device list)."""

from chamberlain.store import kinds
from chamberlain.store.tx import Read, Write


def mark(tx: Write, user_id: str, device_id: str | None = None) -> None:
    """Tell everyone that a user's devices, keys or signatures are not what they were."""
    tx.place(kinds.DEVICE_LIST, user_id, device_id).write(
        "INSERT INTO device_list_changes (user_id, position) VALUES (:user_id, :position)", user_id=user_id
    )


async def changed_since(tx: Read, since: int, upto: int, user_ids: list[str]) -> set[str]:
    """Give which of these users changed at a position in `since` < position <= `upto`."""
    rows = await tx.all(
        "SELECT DISTINCT user_id FROM device_list_changes"
        " WHERE position > :since AND position <= :upto AND user_id = ANY(:user_ids)",
        since=since,
        upto=upto,
        user_ids=user_ids,
    )
    return {row[0] for row in rows}


async def changed_for(tx: Read, user_id: str, since: int, upto: int) -> set[str]:
    """Give the users whose devices changed in `since` < position <= `upto` and whom `user_id` tracks.

    These are the user and all who are in a room that the user is in, and those whose master key the user has
    signed meanwhile. Costs what changed, not how many rooms.
    """
    rows = await tx.all(
        "SELECT DISTINCT c.user_id FROM device_list_changes c"
        " WHERE c.position > :since AND c.position <= :upto AND (c.user_id = :user_id OR EXISTS ("
        "SELECT 1 FROM memberships theirs JOIN memberships mine ON mine.room_id = theirs.room_id"
        " WHERE theirs.user_id = c.user_id AND theirs.membership = 'join'"
        " AND mine.user_id = :user_id AND mine.membership = 'join'))"
        " UNION SELECT target FROM user_signatures"
        " WHERE signer = :user_id AND position > :since AND position <= :upto",
        since=since,
        upto=upto,
        user_id=user_id,
    )
    return {row[0] for row in rows}


async def sharing_a_room(tx: Read, user_id: str, user_ids: list[str]) -> set[str]:
    """Give which of these users are in a room that `user_id` is in."""
    rows = await tx.all(
        "SELECT DISTINCT theirs.user_id FROM memberships theirs"
        " JOIN memberships mine ON mine.room_id = theirs.room_id"
        " WHERE theirs.user_id = ANY(:user_ids) AND theirs.membership = 'join'"
        " AND mine.user_id = :user_id AND mine.membership = 'join'",
        user_ids=user_ids,
        user_id=user_id,
    )
    return {row[0] for row in rows}
