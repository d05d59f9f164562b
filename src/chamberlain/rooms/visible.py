"""Which of some stored events a viewer may see, and how (client-server API, Room History Visibility)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import orjson

from chamberlain.matrix.event_types import HISTORY_VISIBILITY, MEMBER
from chamberlain.matrix.ids import UserID
from chamberlain.matrix.redaction import redact_content
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import get_room_version
from chamberlain.matrix.visibility import (
    JOINED_NOW,
    Point,
    Sight,
    Viewer,
    parse_history_visibility,
    point_after,
    sight_of,
)
from chamberlain.store.events import StoredEvent
from chamberlain.store.points import Along, LastJoin, along, erased_of, last_joins
from chamberlain.store.rooms import find_version
from chamberlain.store.state.lines import Point as StatePoint
from chamberlain.store.tx import Read

VISIBILITY_KEY: Final = (HISTORY_VISIBILITY, "")


class Seen(msgspec.Struct, frozen=True, gc=False):
    """An event that the viewer may see, in the form they see, and their membership when it was sent."""

    event: StoredEvent
    membership: str


async def visible_events(tx: Read, events: Sequence[StoredEvent], user_id: str) -> list[Seen]:
    """Give those of the events, of any rooms, that the user may see, in the same order.

    What an erased user sent before the viewer was there comes redacted. Costs a number of queries that does not
    grow with the events (but for forks).
    """
    joins = await last_joins(tx, user_id, {event.room_id for event in events}) if events else {}
    sure: dict[str, LastJoin] = {room: join for room, join in joins.items() if join.membership == "join"}
    unsure: list[tuple[StoredEvent, StatePoint]] = []
    seen: list[Seen | None] = []
    for event in events:
        if event.before_line is None or event.before_ver is None:
            continue
        where = event.before_line, event.before_ver
        join = sure.get(event.room_id)
        if join is not None and join.is_in_at(where):
            seen.append(Seen(event, "join"))
        else:
            unsure.append((event, where))
            seen.append(None)
    if not unsure:
        return [one for one in seen if one is not None]
    judged = iter(await _judge(tx, unsure, user_id, joins))
    return [one for one in (next(judged) if one is None else one for one in seen) if one is not None]


async def _judge(
    tx: Read,
    placed: Sequence[tuple[StoredEvent, StatePoint]],
    user_id: str,
    joins: Mapping[str, LastJoin],
) -> list[Seen | None]:
    """What the viewer sees of each event, None where nothing."""
    own = (MEMBER, user_id)
    wheres = {where for _, where in placed}
    state = await along(tx, wheres, (own, VISIBILITY_KEY))
    erased = await erased_of(tx, {event.sender for event, _ in placed})
    rooms = {event.room_id for event, _ in placed}
    viewers = {room_id: _viewer(user_id, joins.get(room_id), erased) for room_id in rooms}
    points = {where: point_at(state, where, own) for where in wheres}
    seen: list[Seen | None] = []
    hidden: list[StoredEvent] = []
    for event, where in placed:
        before = points[where]
        sight = sight_of(
            event, 0 if event.position is None else event.position, before, viewers[event.room_id]
        )
        if sight is Sight.REDACTED:
            hidden.append(event)
        seen.append(
            None if sight is Sight.HIDDEN else Seen(event, point_after(event, before, user_id).membership)
        )
    return await _redacted(tx, seen, hidden) if hidden else seen


def _viewer(user_id: str, join: LastJoin | None, erased: Collection[str]) -> Viewer:
    if join is None:
        last_join = None
    else:
        last_join = JOINED_NOW if join.membership == "join" else join.joined_at
    return Viewer(UserID(user_id), last_join, frozenset(erased))


def point_at(state: Along, where: tuple[int, int], own: StateKey) -> Point:
    """What decides over visibility at a point; `own` names the viewer's membership."""
    visibility = state.at(where, VISIBILITY_KEY)
    member = state.at(where, own)
    membership = None if member is None else member.content.get("membership")
    return Point(
        parse_history_visibility(None if visibility is None else visibility.content),
        membership if isinstance(membership, str) else "leave",
    )


async def _redacted(
    tx: Read, seen: Sequence[Seen | None], hidden: Collection[StoredEvent]
) -> list[Seen | None]:
    versions = {event.room_id: await find_version(tx, event.room_id) for event in hidden}
    ids = {event.event_id for event in hidden}
    return [
        Seen(as_redacted(one.event, versions[one.event.room_id] or "1"), one.membership)
        if one is not None and one.event.event_id in ids
        else one
        for one in seen
    ]


def as_redacted(event: StoredEvent, version: str) -> StoredEvent:
    """The event as it would be shown if it had been redacted in a room of this version."""
    rules = get_room_version(version).redaction
    form = orjson.loads(event.client)
    form["content"] = redact_content(event.type, form["content"], rules)
    return msgspec.structs.replace(event, client=orjson.dumps(form))
