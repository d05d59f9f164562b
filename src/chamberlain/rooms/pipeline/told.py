"""Many events of a room at once, as another server told them: what is in memory is what puts them in order."""

from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID
from chamberlain.matrix.types import StateKey
from chamberlain.matrix.versions import RoomVersion
from chamberlain.rooms.pipeline.outliers import needed

T = TypeVar("T")

AT_ONCE: Final = 500
"""Events that are looked at together."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """An event: where its bytes are, and what it is judged by. A large room has many."""

    source: Sequence[bytes]
    place: int
    key: StateKey | None
    needed: tuple[EventID, ...]


def parse_all(pdus: Iterable[bytes], version: RoomVersion, room_id: str) -> list[Event]:
    """The events of the room among what another server sent; what is none is left out."""
    found: dict[str, Event] = {}
    for pdu in pdus:
        event = _parse(pdu, version, room_id)
        if event is not None:
            found.setdefault(event.event_id, event)
    return list(found.values())


def index(pdus: Sequence[bytes], version: RoomVersion, room_id: str) -> dict[EventID, Told]:
    """The events of the room among what another server sent, by id; what is none is left out."""
    found: dict[EventID, Told] = {}
    # Thousands cite the same few.
    lists: dict[tuple[EventID, ...], tuple[EventID, ...]] = {}
    types: dict[str, str] = {}
    for place, pdu in enumerate(pdus):
        event = _parse(pdu, version, room_id)
        if event is not None:
            names = needed(event)
            key = event.key and (types.setdefault(event.type, event.type), event.key[1])
            found[event.event_id] = Told(pdus, place, key, lists.setdefault(names, names))
    return found


def read(told: Sequence[Told], version: RoomVersion, room_id: str) -> list[Event]:
    """The events themselves."""
    return parse_all((one.source[one.place] for one in told), version, room_id)


def parts(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """The items in parts of that size; the last one may be smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _parse(pdu: bytes, version: RoomVersion, room_id: str) -> Event | None:
    try:
        event = Event.parse(pdu, version)
    except MatrixError:
        return None
    return event if event.room_id == room_id else None
