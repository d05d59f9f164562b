"""For which servers an event is: those in the room before or after it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from chamberlain.matrix.event_types import MEMBER
from chamberlain.store.outbox_events import Arrival, RoomNow
from chamberlain.store.outbox_queue import Window
from chamberlain.store.state.lines import Point


class _Content(msgspec.Struct):
    membership: str = "leave"


class _Member(msgspec.Struct):
    content: _Content


_decode_member = msgspec.json.Decoder(_Member).decode


def membership_in(event: bytes) -> str:
    """The membership that a member event, in any form, sets."""
    try:
        return _decode_member(event).content.membership
    except msgspec.MsgspecError:
        return "leave"


def server_in(user_id: str | None) -> str:
    """The server part of a user id; nothing where there is none."""
    return "" if user_id is None else user_id.partition(":")[2]


class Room:
    """The servers of a room as of the last event that was dealt with.

    `windows`: those that are not simply in the room for the events to come, each with the events that are for it.
    """

    __slots__ = ("point", "servers", "windows")

    def __init__(self, point: Point) -> None:
        self.point = point
        self.servers: frozenset[str] = frozenset()
        self.windows: dict[str, Window] = {}

    def audience(self, event: Arrival) -> Iterator[str]:
        """The servers that an event is for, except the one that it came from."""
        sender, position = server_in(event.sender), event.position
        windows = self.windows
        if not windows:
            yield from (server for server in self.servers if server != sender)
            return
        for server in self.servers.union(windows):
            window = windows.get(server)
            if server != sender and (window is None or _holds(window, position)):
                yield server

    def forget_past(self, upto: int) -> None:
        """Forget the windows that say nothing of what comes after a position."""
        self.windows = {
            server: window
            for server, window in self.windows.items()
            if (window.since if window.until is None else window.until) > upto
        }


def _holds(window: Window, position: int) -> bool:
    return window.since < position and (window.until is None or position <= window.until)


def room_before(now: RoomNow, cursor: int, is_ours: Callable[[str], bool]) -> Room:
    """A room as the database knows it: as it was at the cursor, or a little later."""
    room = Room(now.point)
    room.windows = {server: window for server, window in now.windows.items() if is_ours(server)}
    room.servers = frozenset(server for server, window in room.windows.items() if window.until is None)
    room.forget_past(cursor)
    return room


def move_on(
    room: Room,
    now: RoomNow,
    events: Sequence[Arrival],
    cursor: int,
    upto: int,
    *,
    is_all: bool,
    is_ours: Callable[[str], bool],
) -> dict[str, Window]:
    """Bring the room to where it is after these events of it, which came after `cursor`; give what changed.

    A server is in the room from the join of its first user to the leave of its last one. Where no event tells of it
    (the room was joined just now, or its state resolved), it came at the beginning, and went at the end.
    `is_all`: no events follow; `is_ours`: whether a server is to be seen to here at all.
    """
    servers = frozenset(server for server in now.servers if is_ours(server))
    changed: dict[str, Window] = {}
    for server in servers - room.servers:
        changed[server] = Window(min(_joins(events, server), default=cursor))
    passing = (
        {server_in(event.state_key) for event in events if event.type == MEMBER} - servers - room.servers
    )
    for server in filter(is_ours, passing):
        joins = _joins(events, server)
        if joins:
            changed[server] = Window(joins[0], max(event.position for event in members_of(events, server)))
    stayed = set()
    for server in room.servers - servers:
        last = max((event.position for event in members_of(events, server)), default=upto if is_all else None)
        if last is None:
            stayed.add(server)
            continue
        before = room.windows.get(server)
        changed[server] = Window(0 if before is None else before.since, last)
    if not stayed:
        # Else it is looked at once more with the events that follow, which tell of those who stayed.
        room.point = now.point
    room.servers = servers | stayed
    room.windows.update(changed)
    return changed


def members_of(events: Iterable[Arrival], server: str) -> Iterator[Arrival]:
    """The member events of a server's users."""
    return (event for event in events if event.type == MEMBER and server_in(event.state_key) == server)


def _joins(events: Iterable[Arrival], server: str) -> list[int]:
    return [event.position for event in members_of(events, server) if membership_in(event.pdu) == "join"]


def turns_away(event: Arrival) -> bool:
    """Whether somebody ends the invite or the knock of a user of another server with this, if there was one."""
    return (
        event.type == MEMBER
        and event.outgoing
        and event.replaces is not None
        and server_in(event.sender) != server_in(event.state_key)
        and membership_in(event.pdu) in ("leave", "ban")
    )
