"""Whose device keys a client has to ask for anew, or may forget (client-server API, Tracking the device list)."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from chamberlain.matrix.types import text_of
from chamberlain.store.device_lists import changed_for, sharing_a_room
from chamberlain.store.events import StoredEvent, list_stored
from chamberlain.store.memberships import rooms_of
from chamberlain.store.partial import completed_since
from chamberlain.store.points import memberships_since
from chamberlain.store.sync import joined_members, member_changes, own_memberships
from chamberlain.store.tx import Read


class DeviceLists(msgspec.Struct, frozen=True):
    """`changed`: ask for their keys anew; `left`: no room is shared with them any more."""

    changed: Collection[str] = ()
    left: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.left)


class Met(msgspec.Struct):
    """Changes of memberships in rooms that the user is in."""

    events: list[StoredEvent] = msgspec.field(default_factory=list)

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Count member events, those of one room in their order."""
        self.events += events


async def device_lists(
    tx: Read,
    user_id: str,
    changed: Collection[str],
    met: Met,
    entered: Collection[str],
    left: Collection[str],
) -> DeviceLists:
    """Give the answer, `changed` being those of whom it is known already.

    `entered` and `left`: rooms that the user is in now, or no more.
    """
    came, went = await _moves(tx, met.events)
    if entered:
        came |= await joined_members(tx, entered)
    if left:
        went |= await joined_members(tx, left)
    went -= {user_id}
    came -= {user_id}
    gone = went - await sharing_a_room(tx, user_id, sorted(went)) if went else set()
    return DeviceLists(sorted((came | set(changed)) - gone), sorted(gone))


async def _moves(tx: Read, events: Sequence[StoredEvent]) -> tuple[set[str], set[str]]:
    """Who came into a room, and who was in one and went; another name or a refused invitation is neither."""
    known = {event.event_id: event for event in events}
    missing = {event.replaces for event in events if event.replaces is not None} - known.keys()
    if missing:
        known.update(await list_stored(tx, missing))
    came: set[str] = set()
    went: set[str] = set()
    for event in events:
        before = None if event.replaces is None else known.get(event.replaces)
        was_in = before is not None and _is_join(before)
        user_id = event.state_key or ""
        if _is_join(event) and not was_in:
            came.add(user_id)
            went.discard(user_id)
        elif was_in and not _is_join(event):
            went.add(user_id)
    return came, went


def _is_join(event: StoredEvent) -> bool:
    return text_of(event.content, "membership") == "join"


async def device_lists_between(tx: Read, user_id: str, since: int, upto: int) -> DeviceLists:
    """Give the answer for the stretch since < position <= upto, from the database alone."""
    changed = await changed_for(tx, user_id, since, upto)
    entered: list[str] = []
    left: list[str] = []
    for own in await own_memberships(tx, user_id, since=since):
        chain = await memberships_since(tx, own.event_id, since)
        if own.membership == "join" and set(chain) != {"join"}:
            entered.append(own.room_id)
        elif own.membership in ("leave", "ban") and "join" in chain:
            left.append(own.room_id)
    met = Met()
    joined = [own.room_id for own in await rooms_of(tx, user_id, ("join",))]
    # Of a room that came without its members it is heard who is in it when they are known.
    entered += await completed_since(tx, set(joined).difference(entered), since)
    met.add(await member_changes(tx, [room for room in joined if room not in entered], since, upto))
    return await device_lists(tx, user_id, changed, met, entered, left)
