"""Rooms: their heads and summaries."""

from collections.abc import Collection
from typing import Any

import msgspec

from chamberlain.store.tx import Read

SUMMARY_COLUMNS = (
    "name",
    "topic",
    "avatar_url",
    "canonical_alias",
    "join_rule",
    "history_visibility",
    "guest_access",
    "encryption",
    "room_type",
    "tombstone",
    "federatable",
    "joined",
    "invited",
    "local_joined",
    "state_events",
)


class RoomRow(msgspec.Struct, frozen=True, array_like=True):
    """One row of `rooms`."""

    room_id: str
    version: str
    creator: str
    created_at: int
    line: int
    ver: int
    head_seq: int
    extremities: str
    notify_count: int
    highlight_count: int
    thread_notify_count: int
    is_partial: bool = False
    """Whether not all of its members are known."""


async def find_room(tx: Read, room_id: str) -> RoomRow | None:
    """Give the room, or None."""
    row = await tx.one(
        "SELECT room_id, version, creator, created_at, cur_line, cur_ver, head_seq, extremities, notify_count,"
        " highlight_count, thread_notify_count, is_partial FROM rooms WHERE room_id = :room_id",
        room_id=room_id,
    )
    return None if row is None else RoomRow(*row)


async def find_version(tx: Read, room_id: str) -> str | None:
    """Give the room's version, or None where there is no such room."""
    version: str | None = await tx.value(
        "SELECT version FROM rooms WHERE room_id = :room_id", room_id=room_id
    )
    return version


async def find_made(tx: Read, creator: str, name: str, since: int) -> str | None:
    """Give the first room of this name that a user made at a time (ms) or later, or None."""
    room_id: str | None = await tx.value(
        "SELECT r.room_id FROM rooms r JOIN room_summaries s ON s.room_id = r.room_id"
        " WHERE r.creator = :creator AND r.created_at >= :since AND s.name = :name"
        " ORDER BY r.created_at LIMIT 1",
        creator=creator,
        since=since,
        name=name,
    )
    return room_id


async def rooms_with_ours(tx: Read, room_ids: Collection[str]) -> set[str]:
    """Give those of the rooms to which any of our users is joined."""
    rows = await tx.all(
        "SELECT room_id FROM room_summaries WHERE room_id = ANY(:rooms) AND local_joined > 0",
        rooms=list(room_ids),
    )
    return {row[0] for row in rows}


async def find_summary(tx: Read, room_id: str) -> dict[str, Any] | None:
    """Give the columns of `room_summaries` by name, or None."""
    row = await tx.one(
        "SELECT name, topic, avatar_url, canonical_alias, join_rule, history_visibility, guest_access,"
        " encryption, room_type, tombstone, federatable, joined, invited, local_joined, state_events"
        " FROM room_summaries WHERE room_id = :room_id",
        room_id=room_id,
    )
    if row is None:
        return None
    summary = dict(zip(SUMMARY_COLUMNS, row, strict=True))
    summary["federatable"] = bool(summary["federatable"])
    return summary
