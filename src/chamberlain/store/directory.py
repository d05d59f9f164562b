"""The list of public rooms (client-server API, Listing rooms)."""

from collections.abc import Collection
from typing import LiteralString

import msgspec

from chamberlain.store import kinds
from chamberlain.store.patterns import containing
from chamberlain.store.tx import Read, Write

_FOUND: LiteralString = " FROM published_rooms p JOIN room_summaries s ON s.room_id = p.room_id"
_VISIBLE: LiteralString = (
    " WHERE (s.join_rule IN ('public', 'knock', 'restricted', 'knock_restricted')"
    " OR s.history_visibility = 'world_readable')"
)
_TERM: LiteralString = (
    " AND (lower(s.name) LIKE :term ESCAPE '!' OR lower(s.topic) LIKE :term ESCAPE '!'"
    " OR s.name LIKE :as_given ESCAPE '!' OR s.topic LIKE :as_given ESCAPE '!'"
    " OR lower(s.canonical_alias) LIKE :term ESCAPE '!')"
)


class PublicRoom(msgspec.Struct, frozen=True):
    """What the directory shows of a room."""

    room_id: str
    name: str | None
    topic: str | None
    avatar_url: str | None
    canonical_alias: str | None
    join_rule: str | None
    history_visibility: str | None
    guest_access: str | None
    room_type: str | None
    joined: int


class Wanted(msgspec.Struct, frozen=True):
    """Which rooms of the directory. `types` None: of all types; None among them: rooms without a type.

    `open_to_servers`: only rooms that users of other servers can be in.
    """

    term: str | None = None
    types: frozenset[str | None] | None = None
    open_to_servers: bool = False


Place = tuple[int, str]
"""Where a room stands in the directory: its joined members, its id."""


async def set_published(tx: Write, room_id: str, published: bool, now: int) -> bool:
    """Have the directory list the room, or not; False where that is so already."""
    if published:
        changed = await tx.run(
            "INSERT INTO published_rooms (room_id, published_at) VALUES (:room_id, :now)"
            " ON CONFLICT (room_id) DO NOTHING",
            room_id=room_id,
            now=now,
        )
    else:
        changed = await tx.run("DELETE FROM published_rooms WHERE room_id = :room_id", room_id=room_id)
    if changed:
        tx.place(kinds.ROOM, room_id, "directory")
    return changed > 0


async def is_published(tx: Read, room_id: str) -> bool:
    """Say whether the directory lists the room."""
    return bool(await tx.all("SELECT 1 FROM published_rooms WHERE room_id = :room_id", room_id=room_id))


async def count(tx: Read, wanted: Wanted) -> int:
    """Give how many rooms the directory has of what is wanted."""
    where, params = _where(wanted)
    found: int = await tx.value("SELECT count(*)" + _FOUND + where, **params)
    return found


async def list_after(tx: Read, wanted: Wanted, after: Place | None, limit: int) -> list[PublicRoom]:
    """Give the rooms that follow a place, the largest first."""
    where, params = _where(wanted)
    if after is not None:
        where += " AND (s.joined < :joined OR (s.joined = :joined AND s.room_id > :after))"
        params |= {"joined": after[0], "after": after[1]}
    return await _list(
        tx, where + " ORDER BY s.joined DESC, s.room_id LIMIT :limit", params | {"limit": limit}
    )


async def list_before(tx: Read, wanted: Wanted, before: Place, limit: int) -> list[PublicRoom]:
    """Give the rooms that stand before a place, the nearest first."""
    where, params = _where(wanted)
    where += " AND (s.joined > :joined OR (s.joined = :joined AND s.room_id < :before))"
    params |= {"joined": before[0], "before": before[1], "limit": limit}
    return await _list(tx, where + " ORDER BY s.joined, s.room_id DESC LIMIT :limit", params)


async def _list(tx: Read, rest: LiteralString, params: dict[str, object]) -> list[PublicRoom]:
    rows = await tx.all(
        "SELECT s.room_id, s.name, s.topic, s.avatar_url, s.canonical_alias, s.join_rule, s.history_visibility,"
        " s.guest_access, s.room_type, s.joined" + _FOUND + rest,
        **params,
    )
    return [PublicRoom(*row) for row in rows]


def _where(wanted: Wanted) -> tuple[LiteralString, dict[str, object]]:
    where: LiteralString = _VISIBLE
    params: dict[str, object] = {}
    if wanted.term:
        where += _TERM
        params |= {"term": containing(wanted.term.lower()), "as_given": containing(wanted.term)}
    if wanted.types is not None:
        where += " AND (s.room_type = ANY(:types)" + (
            " OR s.room_type IS NULL)" if None in wanted.types else ")"
        )
        params["types"] = _named(wanted.types)
    if wanted.open_to_servers:
        where += " AND s.federatable"
    return where, params


def _named(types: Collection[str | None]) -> list[str]:
    return sorted(kind for kind in types if kind is not None)


async def move(tx: Write, old_room: str, new_room: str, now: int) -> None:
    """Have the aliases of a room, and its place in the directory, belong to another room."""
    moved = await tx.run(
        "UPDATE room_aliases SET room_id = :new WHERE room_id = :old", old=old_room, new=new_room
    )
    if moved:
        tx.place(kinds.ROOM, old_room, "alias")
        tx.place(kinds.ROOM, new_room, "alias")
    if await set_published(tx, old_room, False, now):
        await set_published(tx, new_room, True, now)
