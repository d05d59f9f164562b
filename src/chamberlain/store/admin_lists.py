"""Lists for administrators: users and rooms with filters, orders and totals."""

from collections.abc import Sequence
from typing import Any, Final, Literal, LiteralString

import msgspec
import orjson

from chamberlain.store.patterns import escaped
from chamberlain.store.tx import Read, Row

Direction = Literal["f", "b"]

USER_ORDERS: Final[dict[str, LiteralString]] = {
    "name": "u.user_id",
    "is_guest": "u.guest",
    "admin": "u.admin",
    "user_type": "COALESCE(u.user_type, '')",
    "deactivated": "(u.deactivated_at IS NOT NULL)",
    "locked": "(u.locked_at IS NOT NULL)",
    "shadow_banned": "(u.shadow_banned_at IS NOT NULL)",
    "displayname": "d.value",
    "avatar_url": "a.value",
    "creation_ts": "u.created_at",
    "last_seen_ts": "last_seen",
}
"""What users can be sorted by."""

ROOM_ORDERS: Final[dict[str, tuple[LiteralString, bool]]] = {
    "name": ("lower(COALESCE(s.name, ''))", False),
    "alphabetical": ("lower(COALESCE(s.name, ''))", False),
    "canonical_alias": ("COALESCE(s.canonical_alias, '')", False),
    "joined_members": ("s.joined", True),
    "size": ("s.joined", True),
    "joined_local_members": ("s.local_joined", True),
    "version": ("r.version", True),
    "creator": ("r.creator", False),
    "encryption": ("COALESCE(s.encryption, '')", False),
    "federatable": ("s.federatable", True),
    "public": ("(p.room_id IS NOT NULL)", True),
    "join_rules": ("COALESCE(s.join_rule, '')", False),
    "guest_access": ("COALESCE(s.guest_access, '')", False),
    "history_visibility": ("COALESCE(s.history_visibility, '')", False),
    "state_events": ("s.state_events", True),
}
"""What rooms can be sorted by, and whether the largest come first."""


class UserRow(msgspec.Struct, frozen=True, gc=False):
    """A user as lists show them; times in ms."""

    user_id: str
    is_guest: bool
    is_admin: bool
    user_type: str | None
    deactivated: bool
    erased: bool
    shadow_banned: bool
    locked: bool
    suspended: bool
    created_at: int
    display_name: str | None
    avatar_url: str | None
    last_seen: int | None


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which users to list; None: either way. `text` is looked for in the localpart and the display name."""

    user_id: str | None = None
    text: str | None = None
    guests: bool | None = None
    admins: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    without_types: tuple[str, ...] = ()
    """Kinds of account to leave out; the empty one stands for accounts of no kind."""


class RoomRow(msgspec.Struct, frozen=True, gc=False):
    """A room as lists show it, with the names that Synapse's lists have."""

    room_id: str
    version: str
    creator: str
    name: str | None
    topic: str | None
    avatar_url: str | None = msgspec.field(name="avatar")
    canonical_alias: str | None
    join_rule: str | None = msgspec.field(name="join_rules")
    history_visibility: str | None
    guest_access: str | None
    encryption: str | None
    room_type: str | None
    tombstone: str | None = msgspec.field(name="replacement_room")
    federatable: bool
    joined: int = msgspec.field(name="joined_members")
    local_joined: int = msgspec.field(name="joined_local_members")
    state_events: int
    public: bool


class RoomFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rooms to list; None: either way. `text` is looked for in name and alias, and as it is in the id."""

    text: str | None = None
    public: bool | None = None
    empty: bool | None = None


_USER_COLUMNS: Final = (
    "SELECT u.user_id, u.guest, u.admin, u.user_type, u.deactivated_at, u.erased_at, u.shadow_banned_at, u.locked_at,"
    " u.suspended_at, u.created_at, d.value, a.value,"
    " (SELECT max(c.last_seen) FROM connections c WHERE c.user_id = u.user_id) AS last_seen"
    " FROM users u LEFT JOIN profiles d ON d.user_id = u.user_id AND d.field = 'displayname'"
    " LEFT JOIN profiles a ON a.user_id = u.user_id AND a.field = 'avatar_url'"
)
_NULLS: Final[dict[Direction, LiteralString]] = {"f": " NULLS FIRST", "b": " NULLS LAST"}
"""The databases disagree on where nothing sorts unless they are told."""
_USER_CONDITIONS: Final[tuple[tuple[str, LiteralString], ...]] = (
    ("user_id", "lower(u.user_id) LIKE :user_id ESCAPE '!'"),
    ("text", "(lower(u.user_id) LIKE :text ESCAPE '!' OR u.user_id = ANY(:named))"),
    ("guests", "u.guest = :guests"),
    ("admins", "u.admin = :admins"),
    ("deactivated", "(u.deactivated_at IS NOT NULL) = :deactivated"),
    ("locked", "(u.locked_at IS NOT NULL) = :locked"),
    ("without_types", "COALESCE(u.user_type, '') <> ALL(:without_types)"),
)


async def list_users(
    tx: Read, wanted: UserFilter, order: str, direction: Direction, start: int, limit: int
) -> tuple[list[UserRow], int]:
    """Give a page of users, and how many there are on all pages."""
    params: dict[str, Any] = {
        "user_id": _like("%", wanted.user_id, "%") if wanted.user_id else None,
        "text": _like("@%", wanted.text, "%:%") if wanted.text else None,
        "guests": wanted.guests,
        "admins": wanted.admins,
        "deactivated": wanted.deactivated,
        "locked": wanted.locked,
        "without_types": list(wanted.without_types) or None,
    }
    where, params = _where(_USER_CONDITIONS, params)
    if wanted.text:
        params["named"] = await _named(tx, wanted.text)
    way: LiteralString = " DESC" if direction == "b" else ""
    column = USER_ORDERS[order]
    by = column + way if order == "name" else column + way + _NULLS[direction] + ", u.user_id"
    rows = await tx.all(
        _USER_COLUMNS + where + " ORDER BY " + by + " LIMIT :limit OFFSET :start",
        limit=limit,
        start=start,
        **params,
    )
    total: int = await tx.value("SELECT count(*) FROM users u" + where, **params)
    return _users(rows), total


def _where(
    conditions: tuple[tuple[str, LiteralString], ...], params: dict[str, Any]
) -> tuple[LiteralString, dict[str, Any]]:
    """The WHERE clause of those conditions whose parameter is given, and these parameters."""
    given = {name: value for name, value in params.items() if value is not None}
    used = [condition for name, condition in conditions if name in given]
    return (" WHERE " + " AND ".join(used) if used else ""), given


async def find_user(tx: Read, user_id: str) -> UserRow | None:
    """Give one user as lists show them, or None."""
    row = await tx.one(_USER_COLUMNS + " WHERE u.user_id = :user_id", user_id=user_id)
    return None if row is None else _users([row])[0]


async def _named(tx: Read, text: str) -> list[str]:
    """The users whose display name has the text in it, in any case. Names are JSON, so it is not SQL that looks."""
    wanted = text.casefold()
    rows = await tx.all("SELECT user_id, value FROM profiles WHERE field = 'displayname'")
    return [user_id for user_id, value in rows if wanted in str(orjson.loads(value)).casefold()]


def _users(rows: Sequence[Row]) -> list[UserRow]:
    # All names by one call, and the rest by place: this runs for each row of every page.
    names, avatars = _texts([row[10] for row in rows]), _texts([row[11] for row in rows])
    return [
        UserRow(
            user_id,
            guest == 1,
            admin == 1,
            user_type,
            deactivated is not None,
            erased is not None,
            shadow_banned is not None,
            locked is not None,
            suspended is not None,
            created_at,
            name,
            avatar,
            seen,
        )
        for (
            user_id,
            guest,
            admin,
            user_type,
            deactivated,
            erased,
            shadow_banned,
            locked,
            suspended,
            created_at,
            _,
            _,
            seen,
        ), name, avatar in zip(rows, names, avatars, strict=True)
    ]


def _texts(encoded: Sequence[bytes | None]) -> list[str | None]:
    """The strings that these JSON values are, None where there is none."""
    decoded: list[str | None] = orjson.loads(b"[" + b",".join([text or b"null" for text in encoded]) + b"]")
    return decoded


_ROOM_COLUMNS: Final = (
    "SELECT s.room_id, r.version, r.creator, s.name, s.topic, s.avatar_url, s.canonical_alias, s.join_rule,"
    " s.history_visibility, s.guest_access, s.encryption, s.room_type, s.tombstone, s.federatable, s.joined,"
    " s.local_joined, s.state_events, (p.room_id IS NOT NULL)"
)
_ROOM_TABLES: Final = (
    " FROM room_summaries s JOIN rooms r ON r.room_id = s.room_id"
    " LEFT JOIN published_rooms p ON p.room_id = s.room_id"
)
_ROOM_CONDITIONS: Final[tuple[tuple[str, LiteralString], ...]] = (
    (
        "text",
        "(lower(s.name) LIKE :text ESCAPE '!' OR lower(s.canonical_alias) LIKE :alias ESCAPE '!'"
        " OR s.room_id = :room_id)",
    ),
    ("public", "(p.room_id IS NOT NULL) = :public"),
    ("empty", "(s.joined = 0) = :empty"),
)


async def list_rooms(
    tx: Read, wanted: RoomFilter, order: str, direction: Direction, start: int, limit: int
) -> tuple[list[RoomRow], int]:
    """Give a page of rooms, and how many there are on all pages."""
    text = wanted.text
    params: dict[str, Any] = {
        "text": _like("%", text, "%") if text else None,
        "alias": _like("#%", text, "%:%") if text else None,
        "room_id": text or None,
        "public": wanted.public,
        "empty": wanted.empty,
    }
    where, params = _where(_ROOM_CONDITIONS, params)
    column, largest_first = ROOM_ORDERS[order]
    way: LiteralString = " DESC" if largest_first == (direction == "f") else ""
    rows = await tx.all(
        _ROOM_COLUMNS
        + _ROOM_TABLES
        + where
        + " ORDER BY "
        + column
        + way
        + ", s.room_id LIMIT :limit OFFSET :start",
        limit=limit,
        start=start,
        **params,
    )
    counted: LiteralString = _ROOM_TABLES + where if where else " FROM room_summaries"
    total: int = await tx.value("SELECT count(*)" + counted, **params)
    return [_room(row) for row in rows], total


async def find_room(tx: Read, room_id: str) -> RoomRow | None:
    """Give one room as lists show it, or None."""
    row = await tx.one(_ROOM_COLUMNS + _ROOM_TABLES + " WHERE s.room_id = :room_id", room_id=room_id)
    return None if row is None else _room(row)


async def count_local_devices(tx: Read, room_id: str) -> int:
    """Give how many devices the local members of a room have."""
    count: int = await tx.value(
        "SELECT count(*) FROM devices WHERE user_id IN (SELECT user_id FROM memberships"
        " WHERE room_id = :room_id AND local AND membership = 'join')",
        room_id=room_id,
    )
    return count


async def is_forgotten(tx: Read, room_id: str) -> bool:
    """Whether every local user who was ever in the room has forgotten it."""
    rows: Sequence[Row] = await tx.all(
        "SELECT forgotten FROM memberships WHERE room_id = :room_id AND local", room_id=room_id
    )
    return bool(rows) and all(bool(row[0]) for row in rows)


def _room(row: Row) -> RoomRow:
    values = [*row]
    values[13], values[17] = row[13] == 1, row[17] == 1
    return RoomRow(*values)


def _like(before: str, text: str, after: str) -> str:
    """A LIKE pattern for the text in any case."""
    return before + escaped(text.lower()) + after
