"""What /sync asks of many rooms at once: set by set, however many rooms there are (client-server API, Syncing)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, LiteralString

import msgspec

from chamberlain.store import kinds
from chamberlain.store.events import STORED_COLUMNS, StoredEvent, stored
from chamberlain.store.state.lines import LAST, Point
from chamberlain.store.tx import Read

FEW_CHANGES: Final = 2_000
"""So many rows of the change stream are looked through rather than asking each room of a user."""
HEROES: Final = 5
PAIRS: Final = 3_000
"""So many pairs of a room and a user are looked up at once rather than room by room."""


class Facts(msgspec.Struct, frozen=True):
    """What /sync says of a room beside its events. `heroes` are one more than needed: the viewer may be one."""

    name: str | None
    canonical_alias: str | None
    joined: int
    invited: int
    heroes: tuple[str, ...] = ()

    @property
    def is_named(self) -> bool:
        """Whether clients need no heroes to name the room."""
        return bool(self.name or self.canonical_alias)

    def heroes_for(self, user_id: str) -> list[str]:
        """The first members but for the viewer."""
        return [hero for hero in self.heroes if hero != user_id][:HEROES]


async def timelines(
    tx: Read, room_ids: Collection[str], after: int, upto: int, limit: int
) -> dict[str, list[StoredEvent]]:
    """Give the newest events that arrived at after < position <= upto, oldest first, `limit` + 1 of each room."""
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM rooms r CROSS JOIN events e"
        " WHERE r.room_id = ANY(:rooms) AND e.room_id = r.room_id AND e.position >= COALESCE(("
        "SELECT x.position FROM events x WHERE x.room_id = r.room_id AND x.position > :after"
        " AND x.position <= :upto AND x.rejected IS NULL AND NOT x.soft_failed"
        " ORDER BY x.position DESC LIMIT 1 OFFSET :limit), CAST(:after AS BIGINT) + 1)"
        # The `+ 0` keeps SQLite to the other end of the index.
        " AND e.position + 0 <= :upto AND e.rejected IS NULL AND NOT e.soft_failed",
        rooms=list(room_ids),
        after=after,
        upto=upto,
        limit=limit,
    )
    found: dict[str, list[StoredEvent]] = {room_id: [] for room_id in room_ids}
    for row in rows:
        found[row[2]].append(stored(row))
    for events in found.values():
        # They come in this order already, as a rule; having the database sort such wide rows costs more.
        events.sort(key=_position)
    return found


def _position(event: StoredEvent) -> int:
    return event.position or 0


_STATE: Final[LiteralString] = (
    f"SELECT {STORED_COLUMNS} FROM rooms r CROSS JOIN state_rows s CROSS JOIN events e"
    " WHERE r.room_id = ANY(:rooms) AND s.line = r.cur_line AND e.nid = s.event"
)


async def current_states(
    tx: Read, room_ids: Collection[str], *, members: bool
) -> dict[str, list[StoredEvent]]:
    """Give the current state of these rooms; without m.room.member, members cost nothing."""
    if members:
        rows = await tx.all(f"{_STATE} AND s.to_v = :last", rooms=list(room_ids), last=LAST)
    else:
        rows = await tx.all(f"{_STATE} AND s.key < 0 AND s.to_v + 0 = :last", rooms=list(room_ids), last=LAST)
    found: dict[str, list[StoredEvent]] = {room_id: [] for room_id in room_ids}
    for row in rows:
        found[row[2]].append(stored(row))
    return found


async def current_points(tx: Read, room_ids: Collection[str]) -> dict[str, Point]:
    """Give the points of these rooms' current states."""
    rows = await tx.all(
        "SELECT room_id, cur_line, cur_ver FROM rooms WHERE room_id = ANY(:rooms)", rooms=list(room_ids)
    )
    return {room_id: (line, ver) for room_id, line, ver in rows}


async def current_members(tx: Read, wanted: Mapping[str, Collection[str]]) -> dict[str, list[StoredEvent]]:
    """Give the member events that hold now, of these users of each of these rooms.

    Where not all members of a room are known yet, those that were cited by what the users sent stand in for them.
    """
    found: dict[str, list[StoredEvent]] = {room_id: [] for room_id in wanted}
    everyone = {user_id for users in wanted.values() for user_id in users}
    if len(wanted) * len(everyone) <= PAIRS:
        batches = [(list(wanted), list(everyone))]
    else:
        batches = [([room_id], list(users)) for room_id, users in wanted.items()]
    for rooms, users in batches:
        rows = await tx.all(
            f"SELECT {STORED_COLUMNS} FROM memberships m CROSS JOIN events e WHERE m.room_id = ANY(:rooms)"
            " AND m.user_id = ANY(:users) AND e.event_id = m.event_id",
            rooms=rooms,
            users=users,
        )
        for row in rows:
            if row[6] in wanted[row[2]]:
                found[row[2]].append(stored(row))
    missing = {
        room_id: set(users).difference(event.state_key or "" for event in found[room_id])
        for room_id, users in wanted.items()
    }
    for event in await cited_members(tx, missing):
        found[event.room_id].append(event)
    return found


async def cited_members(tx: Read, wanted: Mapping[str, Collection[str]]) -> list[StoredEvent]:
    """Give the newest member events by which these users came into those of the rooms that are partial.

    What they send cites them, so that they are here though they are part of no state yet.
    """
    everyone = {user_id for users in wanted.values() for user_id in users}
    if not everyone:
        return []
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM rooms r CROSS JOIN events e WHERE r.room_id = ANY(:rooms) AND r.is_partial"
        " AND e.room_id = r.room_id AND e.sender = ANY(:users) AND e.type = 'm.room.member'"
        " AND e.state_key = e.sender AND e.rejected IS NULL AND NOT e.soft_failed ORDER BY e.depth",
        rooms=list(wanted),
        users=list(everyone),
    )
    newest = {(event.room_id, event.sender): event for event in map(stored, rows)}
    return [event for (room_id, user_id), event in newest.items() if user_id in wanted[room_id]]


async def facts(tx: Read, room_ids: Collection[str]) -> dict[str, Facts]:
    """Give the facts of these rooms."""
    rows = await tx.all(
        "SELECT room_id, name, canonical_alias, joined, invited FROM room_summaries"
        " WHERE room_id = ANY(:rooms)",
        rooms=list(room_ids),
    )
    nameless = [row[0] for row in rows if not (row[1] or row[2])]
    heroes = await _first_members(tx, nameless, ("join", "invite")) if nameless else {}
    alone = [room_id for room_id in nameless if len(heroes.get(room_id, ())) < 2]
    gone = await _first_members(tx, alone, ("leave", "ban")) if alone else {}
    return {
        room_id: Facts(
            name,
            alias,
            joined,
            invited,
            (*heroes.get(room_id, ()), *gone.get(room_id, ())),
        )
        for room_id, name, alias, joined, invited in rows
    }


async def _first_members(
    tx: Read, room_ids: Collection[str], memberships: Collection[str]
) -> dict[str, list[str]]:
    rows = await tx.all(
        "SELECT room_id, user_id FROM (SELECT room_id, user_id, position,"
        " ROW_NUMBER() OVER (PARTITION BY room_id ORDER BY position) AS place FROM memberships"
        " WHERE room_id = ANY(:rooms) AND membership = ANY(:memberships)) ranked"
        " WHERE place <= :most ORDER BY room_id, position",
        rooms=list(room_ids),
        memberships=list(memberships),
        most=HEROES + 1,
    )
    found: dict[str, list[str]] = {}
    for room_id, user_id in rows:
        found.setdefault(room_id, []).append(user_id)
    return found


async def rooms_with_news(tx: Read, user_id: str, since: int, upto: int) -> list[str]:
    """Give the rooms that the user is joined to and in which an event or a receipt came since < position <= upto."""
    if upto - since <= FEW_CHANGES:
        rows = await tx.all(
            "SELECT DISTINCT c.entity FROM changes c JOIN memberships m ON m.room_id = c.entity"
            " WHERE c.position > :since AND c.position <= :upto AND c.kind = ANY(:kinds)"
            " AND m.user_id = :user_id AND m.membership = 'join'",
            since=since,
            upto=upto,
            kinds=[kinds.EVENT, kinds.RECEIPT],
            user_id=user_id,
        )
    else:
        rows = await tx.all(
            "SELECT m.room_id FROM memberships m WHERE m.user_id = :user_id AND m.membership = 'join' AND ("
            "EXISTS (SELECT 1 FROM events e WHERE e.room_id = m.room_id AND e.position > :since)"
            " OR EXISTS (SELECT 1 FROM receipts c WHERE c.room_id = m.room_id AND c.position > :since))",
            since=since,
            user_id=user_id,
        )
    return [row[0] for row in rows]


class OwnMembership(msgspec.Struct, frozen=True):
    """What the user is in a room, by the member event at `position`, which `sender` sent."""

    room_id: str
    membership: str
    event_id: str
    sender: str
    position: int
    forgotten: bool


async def own_memberships(
    tx: Read, user_id: str, *, since: int = -1, rooms: Sequence[str] | None = None
) -> list[OwnMembership]:
    """Give the user's memberships by member events after `since`, of all rooms or of these."""
    if rooms is None:
        rows = await tx.all(
            "SELECT room_id, membership, event_id, sender, position, forgotten FROM memberships"
            " WHERE user_id = :user_id AND position > :since ORDER BY position",
            user_id=user_id,
            since=since,
        )
    else:
        rows = await tx.all(
            "SELECT room_id, membership, event_id, sender, position, forgotten FROM memberships"
            " WHERE user_id = :user_id AND room_id = ANY(:rooms) ORDER BY position",
            user_id=user_id,
            rooms=list(rooms),
        )
    return [OwnMembership(*(*row[:5], bool(row[5]))) for row in rows]


async def member_changes(tx: Read, room_ids: Collection[str], since: int, upto: int) -> list[StoredEvent]:
    """Give the member events of these rooms that arrived at since < position <= upto, in that order."""
    rows = await tx.all(
        f"SELECT {STORED_COLUMNS} FROM events e WHERE e.room_id = ANY(:rooms) AND e.position > :since"
        " AND e.position <= :upto AND e.type = 'm.room.member' AND e.state_key IS NOT NULL"
        " AND e.rejected IS NULL AND NOT e.soft_failed ORDER BY e.position",
        rooms=list(room_ids),
        since=since,
        upto=upto,
    )
    return [stored(row) for row in rows]


async def joined_members(tx: Read, room_ids: Collection[str]) -> set[str]:
    """Give everyone who is joined to any of these rooms."""
    rows = await tx.all(
        "SELECT DISTINCT user_id FROM memberships WHERE room_id = ANY(:rooms) AND membership = 'join'",
        rooms=list(room_ids),
    )
    return {row[0] for row in rows}


async def pdus(tx: Read, event_ids: Collection[str]) -> dict[str, bytes]:
    """Give these events in the form in which servers exchange them."""
    rows = await tx.all("SELECT event_id, pdu FROM events WHERE event_id = ANY(:ids)", ids=list(event_ids))
    return {row[0]: row[1] for row in rows}
