"""Server notices: each user's notices room, and the transaction ids of notices that were sent."""

from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.store.tx import Read, Write


async def find_room(tx: Read, user_id: UserID) -> RoomID | None:
    """Give the room in which the user gets notices, or None."""
    room_id: RoomID | None = await tx.value(
        "SELECT room_id FROM server_notice_rooms WHERE user_id = :user_id", user_id=user_id
    )
    return room_id


async def set_room(tx: Write, user_id: UserID, room_id: RoomID) -> None:
    """Make this the room in which the user gets notices, instead of any other."""
    await tx.run(
        "INSERT INTO server_notice_rooms (user_id, room_id) VALUES (:user_id, :room_id)"
        " ON CONFLICT (user_id) DO UPDATE SET room_id = excluded.room_id",
        user_id=user_id,
        room_id=room_id,
    )


async def is_room_of(tx: Read, room_id: RoomID, user_id: UserID) -> bool:
    """Whether the room is the one in which the user gets notices."""
    return await find_room(tx, user_id) == room_id


async def find_txn(tx: Read, actor: str, txn_id: str) -> EventID | None:
    """Give the notice that this administrator sent with the transaction id, or None."""
    event_id: EventID | None = await tx.value(
        "SELECT event_id FROM server_notice_txns WHERE actor = :actor AND txn_id = :txn_id",
        actor=actor,
        txn_id=txn_id,
    )
    return event_id


async def add_txn(
    tx: Write, actor: str, txn_id: str, event_id: EventID, now: int, keep_since: int
) -> EventID:
    """Remember what the transaction id sent, unless it is known already; give the event that it stands for.

    Those from before `keep_since` (ms) are forgotten.
    """
    await tx.run("DELETE FROM server_notice_txns WHERE at < :keep_since", keep_since=keep_since)
    await tx.run(
        "INSERT INTO server_notice_txns (actor, txn_id, event_id, at)"
        " VALUES (:actor, :txn_id, :event_id, :now)"
        " ON CONFLICT (actor, txn_id) DO NOTHING",
        actor=actor,
        txn_id=txn_id,
        event_id=event_id,
        now=now,
    )
    return await find_txn(tx, actor, txn_id) or event_id
