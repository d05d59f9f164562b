"""What the hierarchy of spaces and room summaries show (client-server API, Spaces)."""

from collections.abc import Collection

import msgspec

from chamberlain.store.room_state import ClientEvent, list_types
from chamberlain.store.state.read import current
from chamberlain.store.tx import Read

SPACE_CHILD = "m.space.child"


class RoomInfo(msgspec.Struct, frozen=True):
    """A room as lists show it, and what one user is in it (None: nothing, ever)."""

    room_id: str
    version: str
    name: str | None
    topic: str | None
    avatar_url: str | None
    canonical_alias: str | None
    join_rule: str | None
    history_visibility: str | None
    guest_access: str | None
    encryption: str | None
    room_type: str | None
    joined: int
    local_joined: int
    membership: str | None


async def list_infos(tx: Read, room_ids: Collection[str], user_id: str | None) -> dict[str, RoomInfo]:
    """Give those of the rooms that the server knows, by id."""
    rows = await tx.all(
        "SELECT r.room_id, r.version, s.name, s.topic, s.avatar_url, s.canonical_alias, s.join_rule,"
        " s.history_visibility, s.guest_access, s.encryption, s.room_type, s.joined, s.local_joined, m.membership"
        " FROM rooms r JOIN room_summaries s ON s.room_id = r.room_id"
        " LEFT JOIN memberships m ON m.room_id = r.room_id AND m.user_id = :user_id"
        " WHERE r.room_id = ANY(:room_ids)",
        user_id=user_id or "",
        room_ids=list(room_ids),
    )
    return {row[0]: RoomInfo(*row) for row in rows}


async def list_children(tx: Read, space_id: str) -> list[ClientEvent]:
    """Give the m.space.child events of a space's current state."""
    point = await current(tx, space_id)
    return [] if point is None else await list_types(tx, point, (SPACE_CHILD,))
