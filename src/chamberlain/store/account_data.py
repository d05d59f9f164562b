"""Account data, global and of rooms, tags and push rules among it (client-server API, Client Config)."""

import msgspec

from chamberlain.store import kinds
from chamberlain.store.tx import Placement, Read, Write

IGNORED_USERS = "m.ignored_user_list"
PUSH_RULES = "m.push_rules"
TAG = "m.tag"


class AccountData(msgspec.Struct, frozen=True):
    """One piece; `room_id` is empty for global ones. `content` is JSON; that of push rules is the compact form."""

    room_id: str
    type: str
    content: bytes
    position: int


async def put(tx: Write, user_id: str, room_id: str, type: str, content: bytes) -> Placement:
    """Set a piece of account data; `room_id` is empty for a global one. Others of this transaction see it."""
    await tx.run(
        "INSERT INTO account_data (user_id, room_id, type, content, position)"
        " VALUES (:user_id, :room_id, :type, :content, 0)"
        " ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content",
        user_id=user_id,
        room_id=room_id,
        type=type,
        content=content,
    )
    kind = kinds.ROOM_ACCOUNT_DATA if room_id else kinds.ACCOUNT_DATA
    # The position is only known when the group commits; until then nobody else sees the row.
    placement = tx.place(kind, user_id, room_id or type)
    placement.write(
        "UPDATE account_data SET position = :position"
        " WHERE user_id = :user_id AND room_id = :room_id AND type = :type",
        user_id=user_id,
        room_id=room_id,
        type=type,
    )
    return placement


async def find(tx: Read, user_id: str, room_id: str, type: str) -> bytes | None:
    """Give the content of a piece of account data, or None."""
    content: bytes | None = await tx.value(
        "SELECT content FROM account_data WHERE user_id = :user_id AND room_id = :room_id AND type = :type",
        user_id=user_id,
        room_id=room_id,
        type=type,
    )
    return content


async def find_locked(tx: Write, user_id: str, room_id: str, type: str) -> bytes | None:
    """As `find`, and nobody else changes the user's account data this way before this transaction ends."""
    await tx.value("SELECT user_id FROM users WHERE user_id = :user_id FOR UPDATE", user_id=user_id)
    return await find(tx, user_id, room_id, type)


async def all_of(tx: Read, user_id: str) -> list[AccountData]:
    """Give all account data of a user, the global ones first."""
    rows = await tx.all(
        "SELECT room_id, type, content, position FROM account_data WHERE user_id = :user_id"
        " ORDER BY room_id, type",
        user_id=user_id,
    )
    return [AccountData(*row) for row in rows]


async def of_room(tx: Read, user_id: str, room_id: str) -> list[AccountData]:
    """Give a user's account data of one room; the global ones for an empty room id."""
    rows = await tx.all(
        "SELECT room_id, type, content, position FROM account_data"
        " WHERE user_id = :user_id AND room_id = :room_id ORDER BY type",
        user_id=user_id,
        room_id=room_id,
    )
    return [AccountData(*row) for row in rows]


async def changed_since(tx: Read, user_id: str, since: int, upto: int) -> list[AccountData]:
    """Give what changed at a position in `since` < position <= `upto`, in that order."""
    rows = await tx.all(
        "SELECT room_id, type, content, position FROM account_data"
        " WHERE user_id = :user_id AND position > :since AND position <= :upto ORDER BY position",
        user_id=user_id,
        since=since,
        upto=upto,
    )
    return [AccountData(*row) for row in rows]


async def delete_all(tx: Write, user_id: str) -> None:
    """Delete all account data of a user."""
    await tx.run("DELETE FROM account_data WHERE user_id = :user_id", user_id=user_id)
