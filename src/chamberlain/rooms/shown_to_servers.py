"""What other servers get to see of events (client-server API, Room History Visibility; erased users)."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from chamberlain.matrix.event_types import HISTORY_VISIBILITY, MEMBER
from chamberlain.matrix.hashes import decode_for, encode_for
from chamberlain.matrix.ids import find_server_of
from chamberlain.matrix.redaction import redact_json
from chamberlain.matrix.types import text_of
from chamberlain.matrix.versions import RoomVersion
from chamberlain.matrix.visibility import (
    HistoryVisibility,
    Judged,
    parse_history_visibility,
    server_can_see,
)
from chamberlain.rooms.visible import VISIBILITY_KEY
from chamberlain.store.events import StoredEvent, list_by_nid
from chamberlain.store.graph import GraphEvent
from chamberlain.store.memberships import users_from
from chamberlain.store.points import along, erased_of
from chamberlain.store.state.keys import find_keys
from chamberlain.store.state.lines import Point
from chamberlain.store.state.read import get_many
from chamberlain.store.tx import Read

FIRST_USERS: Final = 20
MOST_USERS: Final = 1_000
"""How many users of a server are looked at, those who have been in the room longest first."""


async def pdus_for(tx: Read, events: Sequence[GraphEvent], server: str, version: RoomVersion) -> list[bytes]:
    """Give the PDUs of a room's events as another server gets them, in the same order.

    What no user of its may see, and what erased users sent, comes redacted: its id and signatures stay valid.
    """
    seen = await seen_by(tx, events, server)
    erased = await erased_of(tx, {event.sender for event in events})
    return [
        event.pdu if event.event_id in seen and event.sender not in erased else _redacted(event.pdu, version)
        for event in events
    ]


def _redacted(pdu: bytes, version: RoomVersion) -> bytes:
    return encode_for(version, redact_json(decode_for(version, pdu), version))


async def seen_by(tx: Read, events: Sequence[GraphEvent | StoredEvent], server: str) -> set[str]:
    """Give the ids of those of a room's events that any user of another server may see.

    What counts is the state just before an event, and what it changes itself. Outliers that are state are seen by
    all, who get them with the room's state too; other outliers by nobody.
    """
    seen = {event.event_id for event in events if event.before_line is None and event.state_key is not None}
    placed = [
        (event, (event.before_line, event.before_ver))
        for event in events
        if event.before_line is not None and event.before_ver is not None
    ]
    if not placed:
        return seen
    state = await along(tx, {point for _, point in placed}, (VISIBILITY_KEY,))
    unsure: dict[str, tuple[Point, HistoryVisibility]] = {}
    for event, point in placed:
        setting = state.at(point, VISIBILITY_KEY)
        visibility = parse_history_visibility(None if setting is None else setting.content)
        if any(server_can_see(one, _own_membership(event, server)) for one in (visibility, *_set_by(event))):
            seen.add(event.event_id)
        else:
            unsure[event.event_id] = (point, visibility)
    if unsure:
        seen |= await _seen_by_members(tx, placed[0][0].room_id, unsure, server)
    return seen


def _set_by(event: Judged) -> Iterable[HistoryVisibility]:
    if event.type == HISTORY_VISIBILITY and event.state_key == "":
        yield parse_history_visibility(event.content)


def _own_membership(event: Judged, server: str) -> Collection[str]:
    """What a member event makes of a user of the server."""
    if event.type != MEMBER or event.state_key is None or find_server_of(event.state_key) != server:
        return ()
    return (text_of(event.content, "membership") or "leave",)


async def _seen_by_members(
    tx: Read, room_id: str, unsure: dict[str, tuple[Point, HistoryVisibility]], server: str
) -> set[str]:
    """Those of the events that were sent while a user of the server was in the room, or invited."""
    users = await users_from(tx, room_id, server, MOST_USERS)
    seen: set[str] = set()
    for some in (users[:FIRST_USERS], users[FIRST_USERS:]):
        left = {event_id: place for event_id, place in unsure.items() if event_id not in seen}
        memberships = await _memberships(tx, {point for point, _ in left.values()}, some)
        seen.update(
            event_id
            for event_id, (point, visibility) in left.items()
            if server_can_see(visibility, memberships[point])
        )
    return seen


async def _memberships(tx: Read, points: Collection[Point], users: Sequence[str]) -> dict[Point, set[str]]:
    """What these users were at each of the points."""
    if not users:
        return {point: set() for point in points}
    keys = await find_keys(tx, [(MEMBER, user) for user in users])
    nids = {point: set((await get_many(tx, point, keys.values())).values()) for point in points}
    events = await list_by_nid(tx, set().union(*nids.values()))
    memberships = {nid: text_of(event.content, "membership") or "leave" for nid, event in events.items()}
    return {point: {memberships[nid] for nid in found if nid in memberships} for point, found in nids.items()}
