"""What the state said of one viewer along many events: set by set, however many rooms they are of."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping

import msgspec

from chamberlain.matrix.types import StateKey
from chamberlain.store.events import StoredEvent, list_by_nid
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import FIRST, Point, find_line
from chamberlain.store.state.read import get
from chamberlain.store.tx import Read, Row

_Row = tuple[int, int, int | None]


class Along:
    """A few pieces of state at many points. `events` holds the state events that were met, by number."""

    def __init__(self, keys: Mapping[StateKey, int], rows: Mapping[tuple[int, int], list[_Row]]) -> None:
        self._keys = keys
        self._rows = rows
        self._elsewhere: dict[tuple[Point, int], int | None] = {}
        self.events: Mapping[int, StoredEvent] = {}

    def at(self, point: Point, name: StateKey) -> StoredEvent | None:
        """The event that set this piece of state at one of the points, or None."""
        key = self._keys.get(name)
        if key is None:
            return None
        found, nid = self._on_line(point, key)
        if not found:
            nid = self._elsewhere.get((point, key))
        return None if nid is None else self.events.get(nid)

    def _on_line(self, point: Point, key: int) -> tuple[bool, int | None]:
        line, ver = point
        rows = self._rows.get((line, key))
        if rows:
            place = bisect_right(rows, ver, key=_first_version) - 1
            if place >= 0 and rows[place][1] > ver:
                return True, rows[place][2]
        return False, None

    async def complete(self, tx: Read, points: Iterable[Point]) -> None:
        """Look up what the lines of these points do not say themselves, and load the events."""
        whole: dict[int, bool] = {}
        for point in points:
            for key in self._keys.values():
                if self._on_line(point, key)[0]:
                    continue
                if point[0] not in whole:
                    line = await find_line(tx, point[0])
                    whole[point[0]] = line is None or line.complete
                if not whole[point[0]]:
                    self._elsewhere[point, key] = await get(tx, point, key)
        nids = {nid for rows in self._rows.values() for _, _, nid in rows if nid is not None}
        nids.update(nid for nid in self._elsewhere.values() if nid is not None)
        self.events = await list_by_nid(tx, nids) if nids else {}


def _first_version(row: _Row) -> int:
    return row[0]


async def along(tx: Read, points: Collection[Point], names: Collection[StateKey]) -> Along:
    """Give what these pieces of state were at these points, in a number of queries that does not grow."""
    keys = await find_keys(tx, names)
    rows: dict[tuple[int, int], list[_Row]] = {}
    if keys and points:
        for line, key, from_v, to_v, event in await tx.all(
            "SELECT line, key, from_v, to_v, event FROM state_rows WHERE line = ANY(:lines) AND key = ANY(:keys)"
            " ORDER BY line, key, from_v",
            lines=list({line for line, _ in points}),
            keys=list(keys.values()),
        ):
            rows.setdefault((line, key), []).append((from_v, to_v, event))
    found = Along(keys, rows)
    await found.complete(tx, set(points))
    return found


class LastJoin(msgspec.Struct, frozen=True, gc=False):
    """A user's present membership of a room, and the position of the last event that had them join.

    `since`: the point after the present member event; what has later points on its line came after it.
    """

    membership: str
    joined_at: int | None
    since: Point | None

    def is_in_at(self, point: Point) -> bool:
        """Whether it is plain that the user was joined at a point; False where more has to be looked at."""
        return (
            self.membership == "join"
            and self.since is not None
            and self.since[0] == point[0]
            and self.since[1] <= point[1]
        )


async def last_joins(tx: Read, user_id: str, room_ids: Collection[str]) -> dict[str, LastJoin]:
    """Give the user's memberships of these rooms; rooms that they never had to do with are left out."""
    rows = await tx.all(
        "SELECT m.room_id, m.membership, e.position, e.replaces, e.after_line, e.after_ver FROM memberships m"
        " LEFT JOIN events e ON e.event_id = m.event_id"
        " WHERE m.user_id = :user_id AND m.room_id = ANY(:room_ids)",
        user_id=user_id,
        room_ids=list(room_ids),
    )
    found: dict[str, LastJoin] = {}
    for room_id, membership, position, replaces, line, ver in rows:
        joined_at = position if membership == "join" else await _joined_before(tx, replaces)
        found[room_id] = LastJoin(membership, joined_at, None if line is None else (line, ver))
    return found


async def _joined_before(tx: Read, event_id: str | None) -> int | None:
    """The position of the newest join among a member event and those that it replaced."""
    while event_id is not None:
        row = await tx.one(
            f"{_MEMBER_EVENT} WHERE event_id = :event_id",
            event_id=event_id,
        )
        if row is None:
            return None
        position, client, event_id = row
        if _membership(client).content.membership == "join":
            joined_at: int | None = position
            return joined_at
    return None


async def erased_of(tx: Read, user_ids: Collection[str]) -> set[str]:
    """Give those of the users who have had their account erased."""
    rows = await tx.all(
        "SELECT user_id FROM users WHERE user_id = ANY(:user_ids) AND erased_at IS NOT NULL",
        user_ids=list(user_ids),
    )
    return {row[0] for row in rows}


async def memberships_since(tx: Read, event_id: str, since: int) -> list[str]:
    """Give the memberships that a chain of member events went through, the newest first.

    It begins with `event_id`; the last one is what held at the position `since` (`leave` for none).
    """
    chain: list[str] = []
    current: str | None = event_id
    while current is not None:
        row = await tx.one(
            f"{_MEMBER_EVENT} WHERE event_id = :event_id",
            event_id=current,
        )
        if row is None:
            break
        position, client, current = row
        chain.append(_membership(client).content.membership)
        if position is not None and position <= since:
            return chain
    return [*chain, "leave"]


_MEMBER_EVENT = "SELECT position, client, replaces FROM events"


class _Content(msgspec.Struct):
    membership: str = "leave"


class _Member(msgspec.Struct):
    content: _Content = msgspec.field(default_factory=_Content)


def _membership(client: bytes) -> _Member:
    return _MEMBER.decode(client)


_MEMBER = msgspec.json.Decoder(_Member)


async def changes_on_line(
    tx: Read, line: int, ver: int, names: tuple[StateKey, StateKey]
) -> list[tuple[int, int]]:
    """Give (version, event) of each change of these keys on a line up to a version, the newest first."""
    keys = await find_keys(tx, names)
    rows: list[Row] = await tx.all(
        "SELECT from_v, event FROM state_rows WHERE line = :line AND key = ANY(:keys) AND from_v <= :ver"
        " AND from_v > :first AND event IS NOT NULL ORDER BY from_v DESC",
        line=line,
        keys=list(keys.values()),
        ver=ver,
        first=FIRST,
    )
    return [(row[0], row[1]) for row in rows]
