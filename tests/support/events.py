"""Events made from the few fields that a test cares about."""

from typing import Any

from chamberlain.matrix.events import Event
from chamberlain.matrix.ids import EventID, RoomID, UserID
from chamberlain.matrix.versions import V11


def make_event(
    type: str = "m.room.message",
    content: dict[str, Any] | None = None,
    *,
    sender: str = "@bob:example.org",
    state_key: str | None = None,
    room_id: str = "!room:example.org",
) -> Event:
    """An event of room version 11 with these fields; unsigned, and nothing of it is checked."""
    return Event(
        EventID("$event"),
        RoomID(room_id),
        type,
        state_key,
        UserID(sender),
        {} if content is None else content,
        1_700_000_000_000,
        5,
        (),
        (),
        None,
        b"{}",
        V11,
    )
