"""Whose device keys a client has to ask for anew, or may forget (client-server API, Tracking the device list)."""

from collections.abc import Collection, Iterable

import msgspec

from chamberlain.rooms.pipeline.consequences import text_of
from chamberlain.store.device_lists import changed_for, sharing_a_room
from chamberlain.store.events import StoredEvent
from chamberlain.store.memberships import rooms_of
from chamberlain.store.points import memberships_since
from chamberlain.store.sync import encrypted_of, joined_members, member_changes, own_memberships
from chamberlain.store.tx import Read


class DeviceLists(msgspec.Struct, frozen=True):
    """`changed`: ask for their keys anew; `left`: no room is shared with them any more."""

    changed: Collection[str] = ()
    left: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.left)


class Met(msgspec.Struct):
    """Whom the user came to share rooms with, and with whom they may not any more."""

    came: set[str] = msgspec.field(default_factory=set)
    went: set[str] = msgspec.field(default_factory=set)

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Count member events of rooms that the user is in."""
        for event in events:
            user_id = event.state_key or ""
            if text_of(event.content, "membership") == "join":
                self.came.add(user_id)
                self.went.discard(user_id)
            else:
                self.went.add(user_id)


async def device_lists(
    tx: Read,
    user_id: str,
    changed: Collection[str],
    met: Met,
    entered: Collection[str],
    left: Collection[str],
) -> DeviceLists:
    """Give the answer, `changed` being those of whom it is known already.

    `entered` and `left`: rooms that the user is in now, or no more; only the encrypted ones of them count.
    """
    came, went = set(met.came), set(met.went)
    for rooms, members in ((entered, came), (left, went)):
        encrypted = await encrypted_of(tx, rooms) if rooms else []
        if encrypted:
            members |= await joined_members(tx, encrypted)
    went -= {user_id}
    came -= {user_id}
    gone = went - await sharing_a_room(tx, user_id, sorted(went)) if went else set()
    return DeviceLists(sorted((came | set(changed)) - gone), sorted(gone))


async def device_lists_between(tx: Read, user_id: str, since: int, upto: int) -> DeviceLists:
    """Give the answer for the stretch since < position <= upto, from the database alone."""
    changed = await changed_for(tx, user_id, since, upto)
    moved = [
        own
        for own in await own_memberships(tx, user_id, since=since)
        if set(await memberships_since(tx, own.event_id, since)) != {own.membership}
    ]
    met = Met()
    joined = [own.room_id for own in await rooms_of(tx, user_id, ("join",))]
    entered = [own.room_id for own in moved if own.membership == "join"]
    left = [own.room_id for own in moved if own.membership in ("leave", "ban")]
    met.add(await member_changes(tx, [room for room in joined if room not in entered], since, upto))
    return await device_lists(tx, user_id, changed, met, entered, left)
