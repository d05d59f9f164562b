"""Passing over stretches of a room's history that a user may not see, without reading them."""

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.visibility import can_see
from chamberlain.rooms.visible import VISIBILITY_KEY, point_at
from chamberlain.store.events import StoredEvent
from chamberlain.store.history import Place, place_after, place_before
from chamberlain.store.points import along, changes_on_line, last_joins
from chamberlain.store.state.lines import find_line
from chamberlain.store.tx import Read


async def place_to_look_on(tx: Read, hidden: StoredEvent, user_id: str) -> Place | None:
    """Give where, going back from a hidden event, the user may see something again; None: nowhere.

    What sets the history visibility or the user's membership bounds the stretches that are looked at.
    """
    if hidden.before_line is None or hidden.before_ver is None:
        return place_before(hidden)
    line = await find_line(tx, hidden.before_line)
    if line is None or line.base is not None:
        return place_before(hidden)
    own = (MEMBER, user_id)
    changes = await changes_on_line(tx, line.line, hidden.before_ver, (own, VISIBILITY_KEY))
    points = [(line.line, from_v - 1) for from_v, _ in changes]
    state = await along(tx, points, (own, VISIBILITY_KEY))
    ever_joined = (await last_joins(tx, user_id, [hidden.room_id])).get(hidden.room_id)
    for (_, nid), where in zip(changes, points, strict=True):
        event = state.events.get(nid)
        before = point_at(state, where, own)
        joined_later = ever_joined is not None and ever_joined.joined_at is not None
        if event is not None and can_see(before, joined_later=joined_later):
            return min(place_after(event), place_before(hidden))
    return None
