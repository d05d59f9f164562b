"""Events as they are stored: bytes, and the columns that they are found by."""

from collections.abc import Collection
from typing import Literal, LiteralString

import msgspec

from chamberlain.matrix.events import Event
from chamberlain.matrix.types import JsonObject
from chamberlain.matrix.versions import get_room_version
from chamberlain.store.tx import Read, Row

STORED_COLUMNS: LiteralString = (
    "e.nid, e.event_id, e.room_id, e.position, e.depth, e.type, e.state_key, e.sender, e.origin_server_ts,"
    " e.before_line, e.before_ver, e.auth_height, e.redacted_by, e.replaces, e.thread, e.contains_url,"
    " e.txn_device, e.txn_id, e.after_gap, e.client"
)
"""What `stored` makes a StoredEvent of, selected from `events e`."""
_SELECT: LiteralString = f"SELECT {STORED_COLUMNS} FROM events e"
_SELECT_FULL: LiteralString = (
    "SELECT e.pdu, r.version, e.event_id, e.room_id, e.nid, e.auth_height FROM events e"
    " JOIN rooms r ON r.room_id = e.room_id"
)


class _Form(msgspec.Struct):
    content: JsonObject


class _RawForm(msgspec.Struct):
    content: msgspec.Raw


_decode_form = msgspec.json.Decoder(_Form).decode
_decode_raw_form = msgspec.json.Decoder(_RawForm).decode


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with what the database knows of it."""

    nid: int
    event_id: str
    room_id: str
    position: int | None
    depth: int
    type: str
    state_key: str | None
    sender: str
    origin_server_ts: int
    before_line: int | None
    before_ver: int | None
    auth_height: int
    redacted_by: str | None
    replaces: str | None
    thread: str | None
    contains_url: bool
    """0 or 1 from SQLite, so compare it with `==`: converting it costs as much as all the rest."""
    txn_device: str | None
    txn_id: str | None
    after_gap: bool
    """What was before it was not here when it came. From SQLite as `contains_url`."""
    client: bytes
    """The client form without `unsigned`."""

    @property
    def content(self) -> JsonObject:
        """The content, decoded anew each time."""
        return _decode_form(self.client).content

    @property
    def raw_content(self) -> msgspec.Raw:
        """The content as it stands in `client`."""
        return _decode_raw_form(self.client).content


async def find_stored(tx: Read, event_id: str) -> StoredEvent | None:
    """Give an event that was accepted, or None."""
    row = await tx.one(
        f"{_SELECT} WHERE event_id = :event_id AND rejected IS NULL",
        event_id=event_id,
    )
    return None if row is None else stored(row)


async def find_thread(tx: Read, room_id: str, event_id: str) -> str | None:
    """Give the root of the thread that an event of the room is in, or None."""
    found: str | None = await tx.value(
        "SELECT thread FROM events WHERE event_id = :event_id AND room_id = :room_id",
        event_id=event_id,
        room_id=room_id,
    )
    return found


async def list_stored(tx: Read, event_ids: Collection[str]) -> dict[str, StoredEvent]:
    """Give those of the events that were accepted, by id."""
    rows = await tx.all(
        f"{_SELECT} WHERE event_id = ANY(:ids) AND rejected IS NULL",
        ids=list(event_ids),
    )
    return {row[1]: stored(row) for row in rows}


async def list_by_nid(tx: Read, nids: Collection[int]) -> dict[int, StoredEvent]:
    """Give the events with these numbers, as state names them."""
    rows = await tx.all(
        f"{_SELECT} WHERE nid = ANY(:nids)",
        nids=list(nids),
    )
    return {row[0]: stored(row) for row in rows}


async def list_arrived(
    tx: Read, room_id: str, after: int, upto: int, limit: int, order: Literal["newest", "oldest"] = "newest"
) -> list[StoredEvent]:
    """Give the events that arrived at after < position ≤ upto, at most `limit` of them, from that end on."""
    if order == "newest":
        rows = await tx.all(
            f"{_SELECT}"
            " WHERE room_id = :room_id AND position > :after AND position <= :upto AND rejected IS NULL"
            " AND NOT soft_failed ORDER BY position DESC LIMIT :limit",
            room_id=room_id,
            after=after,
            upto=upto,
            limit=limit,
        )
    else:
        rows = await tx.all(
            f"{_SELECT}"
            " WHERE room_id = :room_id AND position > :after AND position <= :upto AND rejected IS NULL"
            " AND NOT soft_failed ORDER BY position LIMIT :limit",
            room_id=room_id,
            after=after,
            upto=upto,
            limit=limit,
        )
    return [stored(row) for row in rows]


async def find_event(tx: Read, event_id: str) -> tuple[Event, int, int] | None:
    """Give an accepted event in full, its number and its auth height, or None."""
    row = await tx.one(
        f"{_SELECT_FULL} WHERE e.event_id = :event_id AND e.rejected IS NULL",
        event_id=event_id,
    )
    return None if row is None else _full(row)


async def list_events_by_nid(tx: Read, nids: Collection[int]) -> dict[int, tuple[Event, int, int]]:
    """Give events in full by number, each with its number and its auth height."""
    rows = await tx.all(
        f"{_SELECT_FULL} WHERE e.nid = ANY(:nids)",
        nids=list(nids),
    )
    return {row[4]: _full(row) for row in rows}


async def find_by_txn(tx: Read, user_id: str, device: str, path: str, txn_id: str) -> str | None:
    """Give the id of the event that this device made with this transaction id, or None."""
    event_id: str | None = await tx.value(
        "SELECT event_id FROM event_txns"
        " WHERE user_id = :user_id AND device = :device AND path = :path AND txn_id = :txn_id",
        user_id=user_id,
        device=device,
        path=path,
        txn_id=txn_id,
    )
    return event_id


def stored(row: Row) -> StoredEvent:
    """Make an event of `STORED_COLUMNS`."""
    return StoredEvent(*row)


def _full(row: Row) -> tuple[Event, int, int]:
    pdu, version, event_id, room_id, nid, height = row
    return Event.load(pdu, get_room_version(version), event_id, room_id), nid, height
