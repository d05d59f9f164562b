"""Who is what in which room, now."""

from collections.abc import Collection
from typing import Final

import msgspec

from chamberlain.store.tx import Read, Row, Write


class Membership(msgspec.Struct, frozen=True):
    """A user's current membership of a room; `position` is that of the member event."""

    room_id: str
    user_id: str
    membership: str
    event_id: str
    sender: str
    display_name: str | None
    avatar_url: str | None
    position: int
    forgotten: bool


_SELECT: Final = (
    "SELECT room_id, user_id, membership, event_id, sender, display_name, avatar_url, position, forgotten"
    " FROM memberships"
)


class _MemberContent(msgspec.Struct):
    membership: str = "leave"


class _MemberEvent(msgspec.Struct):
    content: _MemberContent


def _membership(row: Row) -> Membership:
    return Membership(*(*row[:8], bool(row[8])))


async def find(tx: Read, room_id: str, user_id: str) -> Membership | None:
    """Give a user's membership of a room, or None where they never had one."""
    row = await tx.one(
        _SELECT + " WHERE room_id = :room_id AND user_id = :user_id",
        room_id=room_id,
        user_id=user_id,
    )
    return None if row is None else _membership(row)


async def is_joined_to_any(tx: Read, user_id: str, room_ids: Collection[str]) -> bool:
    """Say whether the user is joined to one of the rooms."""
    found = await tx.value(
        "SELECT 1 FROM memberships WHERE user_id = :user_id AND membership = 'join' AND room_id = ANY(:rooms) LIMIT 1",
        user_id=user_id,
        rooms=list(room_ids),
    )
    return found is not None


async def rooms_of(tx: Read, user_id: str, memberships: Collection[str]) -> list[Membership]:
    """Give the rooms in which the user is one of `memberships`, in the order of their member events."""
    rows = await tx.all(
        _SELECT + " WHERE user_id = :user_id AND membership = ANY(:memberships) ORDER BY position",
        user_id=user_id,
        memberships=list(memberships),
    )
    return [_membership(row) for row in rows]


async def members_of(tx: Read, room_id: str, memberships: Collection[str]) -> list[Membership]:
    """Give the users that are one of `memberships` in the room, in the order of their ids."""
    rows = await tx.all(
        _SELECT + " WHERE room_id = :room_id AND membership = ANY(:memberships) ORDER BY user_id",
        room_id=room_id,
        memberships=list(memberships),
    )
    return [_membership(row) for row in rows]


async def joined_profiles(tx: Read, room_id: str) -> list[tuple[str, str | None, str | None]]:
    """Give (user id, display name, avatar URL) of everyone who is joined to the room."""
    rows = await tx.all(
        "SELECT user_id, display_name, avatar_url FROM memberships"
        " WHERE room_id = :room_id AND membership = 'join'",
        room_id=room_id,
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def local_members(tx: Read, room_id: str, memberships: Collection[str]) -> list[str]:
    """Give our users that are one of `memberships` in the room, in the order of their ids."""
    rows = await tx.all(
        "SELECT user_id FROM memberships"
        " WHERE room_id = :room_id AND local AND membership = ANY(:memberships) ORDER BY user_id",
        room_id=room_id,
        memberships=list(memberships),
    )
    return [row[0] for row in rows]


async def servers_in(tx: Read, room_id: str) -> list[str]:
    """Give the other servers that have users joined to the room, in the order of their names."""
    rows = await tx.all(
        "SELECT DISTINCT server FROM memberships"
        " WHERE room_id = :room_id AND membership = 'join' AND server IS NOT NULL"
        " UNION SELECT server FROM partial_room_servers WHERE room_id = :room_id",
        room_id=room_id,
    )
    return sorted(row[0] for row in rows)


async def servers_by_age(tx: Read, room_id: str, limit: int) -> list[str]:
    """Give other servers that have users joined to the room, those that have been in it longest first."""
    rows = await tx.all(
        "SELECT server FROM (SELECT server, joined_position FROM memberships"
        " WHERE room_id = :room_id AND membership = 'join' AND server IS NOT NULL"
        " UNION ALL SELECT server, 0 FROM partial_room_servers WHERE room_id = :room_id) AS present"
        " GROUP BY server ORDER BY min(joined_position), server LIMIT :limit",
        room_id=room_id,
        limit=limit,
    )
    return [row[0] for row in rows]


async def has_from(tx: Read, room_id: str, server: str, memberships: Collection[str]) -> bool:
    """Say whether any user of another server is one of `memberships` in the room."""
    found = await tx.value(
        "SELECT 1 FROM memberships WHERE room_id = :room_id AND server IS NOT NULL AND server = :server"
        " AND membership = ANY(:memberships) LIMIT 1",
        room_id=room_id,
        server=server,
        memberships=list(memberships),
    )
    return found is not None


async def has_joined_to_any(tx: Read, room_ids: Collection[str], server: str) -> bool:
    """Say whether any user of another server is joined to one of the rooms."""
    found = await tx.value(
        "SELECT 1 FROM memberships WHERE room_id = ANY(:rooms) AND server IS NOT NULL AND server = :server"
        " AND membership = 'join' LIMIT 1",
        rooms=list(room_ids),
        server=server,
    )
    return found is not None


async def users_from(tx: Read, room_id: str, server: str, limit: int) -> list[str]:
    """Give users of another server who ever were something in the room, those who have been it longest first."""
    rows = await tx.all(
        "SELECT user_id FROM memberships WHERE room_id = :room_id AND server IS NOT NULL AND server = :server"
        " ORDER BY joined_position, user_id LIMIT :limit",
        room_id=room_id,
        server=server,
        limit=limit,
    )
    return [row[0] for row in rows]


async def guests_in(tx: Read, room_id: str) -> list[str]:
    """Give our guests that are joined to the room, in the order of their ids."""
    rows = await tx.all(
        "SELECT m.user_id FROM memberships m JOIN users u ON u.user_id = m.user_id"
        " WHERE m.room_id = :room_id AND m.membership = 'join' AND m.local AND u.guest ORDER BY m.user_id",
        room_id=room_id,
    )
    return [row[0] for row in rows]


async def rooms_with_guests(tx: Read) -> list[str]:
    """Give the rooms that any of our guests is joined to."""
    rows = await tx.all(
        "SELECT DISTINCT m.room_id FROM users u JOIN memberships m ON m.user_id = u.user_id"
        " WHERE u.guest AND m.membership = 'join'"
    )
    return [row[0] for row in rows]


async def rooms_shared(tx: Read, user_id: str, other: str) -> list[str]:
    """Give the rooms to which both are joined, in the order of their ids."""
    rows = await tx.all(
        "SELECT own.room_id FROM memberships own"
        " JOIN memberships other ON other.room_id = own.room_id AND other.user_id = :other"
        " WHERE own.user_id = :user_id AND own.membership = 'join' AND other.membership = 'join'",
        user_id=user_id,
        other=other,
    )
    return sorted(row[0] for row in rows)


async def rooms_shared_with_us(tx: Read, user_ids: Collection[str]) -> dict[str, set[str]]:
    """Give the rooms to which these users are joined beside any of ours, by user; those without any left out."""
    rows = await tx.all(
        "SELECT theirs.user_id, theirs.room_id FROM memberships theirs"
        " WHERE theirs.user_id = ANY(:user_ids) AND theirs.membership = 'join' AND EXISTS ("
        "SELECT 1 FROM memberships ours"
        " WHERE ours.room_id = theirs.room_id AND ours.local AND ours.membership = 'join')",
        user_ids=list(user_ids),
    )
    found: dict[str, set[str]] = {}
    for user_id, room_id in rows:
        found.setdefault(user_id, set()).add(room_id)
    return found


async def forget(tx: Write, room_id: str, user_id: str) -> bool:
    """Hide a room that the user has left from them; False where they are still in it, or never were."""
    return bool(
        await tx.run(
            "UPDATE memberships SET forgotten = TRUE WHERE room_id = :room_id AND user_id = :user_id"
            " AND membership IN ('leave', 'ban')",
            room_id=room_id,
            user_id=user_id,
        )
    )


async def ended_a_join(tx: Read, event_id: str) -> bool:
    """Say whether a leave or ban took the place of a join, directly or after other leaves and bans."""
    seen: str | None = event_id
    while seen is not None:
        row = await tx.one("SELECT replaces, client FROM events WHERE event_id = :event_id", event_id=seen)
        if row is None:
            return False
        membership = msgspec.json.decode(row[1], type=_MemberEvent).content.membership
        if membership not in ("leave", "ban"):
            return membership == "join"
        seen = row[0]
    return False
