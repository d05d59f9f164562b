"""Stripped state in answers of /sync (client-server API, Stripped state)."""

from collections.abc import Sequence

import msgspec
import orjson

from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.types import StateKey
from chamberlain.rooms.stripped import SHOWN
from chamberlain.store.events import StoredEvent, list_stored
from chamberlain.store.outside import stripped_of
from chamberlain.store.points import along
from chamberlain.store.sync import OwnMembership
from chamberlain.store.tx import Read

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


async def stripped_states(tx: Read, user_id: str, pending: Sequence[OwnMembership]) -> dict[str, list[bytes]]:
    """Give the stripped state of rooms, each as it was at the user's invitation or knock, or as it was told then."""
    if not pending:
        return {}
    own_events = await list_stored(tx, [own.event_id for own in pending])
    points = {
        event.room_id: (event.before_line, event.before_ver)
        for event in own_events.values()
        if event.before_line is not None and event.before_ver is not None
    }
    outside = [own.room_id for own in pending if own.room_id not in points]
    told = await stripped_of(tx, user_id, outside) if outside else {}
    inviters: set[StateKey] = {(MEMBER, own.sender) for own in pending}
    state = await along(tx, set(points.values()), {*SHOWN, *inviters})
    found: dict[str, list[bytes]] = {own.room_id: [] for own in pending}
    for own in pending:
        event = own_events.get(own.event_id)
        point = points.get(own.room_id)
        shown: list[StoredEvent] = []
        if point is not None:
            names = SHOWN if own.sender == user_id else (*SHOWN, (MEMBER, own.sender))
            shown = [there for name in names if (there := state.at(point, name)) is not None]
        elif own.event_id in told:
            found[own.room_id].extend(map(bytes, _decode_list(told[own.event_id])))
        if event is not None:
            shown.append(event)
        found[own.room_id].extend(strip(event) for event in shown)
    return found


def strip(event: StoredEvent) -> bytes:
    """The event as stripped state shows it."""
    return b'{"type":%b,"state_key":%b,"sender":%b,"content":%b}' % (
        orjson.dumps(event.type),
        orjson.dumps(event.state_key),
        orjson.dumps(event.sender),
        event.raw_content,
    )
