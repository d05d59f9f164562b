"""Our users in rooms that this server is not in: invited from outside, or knocking (server-server API, Inviting)."""

import contextlib
from collections.abc import Iterable
from typing import Any, Final

import orjson

from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Event, client_skeleton
from chamberlain.matrix.ids import find_server_of, is_valid_user_id
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.pipeline.checks import Checks
from chamberlain.rooms.pipeline.consequences import plain_row
from chamberlain.rooms.pipeline.head import Stored
from chamberlain.rooms.pipeline.ids import EventIds
from chamberlain.rooms.pipeline.summary import membership_in, membership_row
from chamberlain.runtime.clock import Clock
from chamberlain.store import outside as rows
from chamberlain.store.database import Database
from chamberlain.store.known import BARE
from chamberlain.store.outside import Known, Pending

STRIPPED_BYTES: Final = 128 * 1024
"""So much of stripped state is kept of a room; what would go beyond it is left out."""


class Outside:
    """Knows who waits where."""

    def __init__(self, db: Database, clock: Clock, ids: EventIds, checks: Checks) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._checks = checks

    async def find(self, room_id: str, user_id: str) -> Pending | None:
        """Give the invitation or the knock that the user waits with, or None."""
        return await self._db.read(rows.find, room_id, user_id)

    async def genuine(self, event: Event, shown: Iterable[JsonObject]) -> list[JsonObject]:
        """Those of the PDUs, as stripped state, that are well signed state events of the room of this event."""
        parsed: list[Event] = []
        for pdu in shown:
            with contextlib.suppress(MatrixError):
                parsed.append(Event.from_dict(dict(pdu), event.version))
        passed = await self._checks.passed([one for one in parsed if one.room_id == event.room_id])
        return [
            {"type": one.type, "state_key": one.state_key, "sender": one.sender, "content": one.content}
            for one in passed
            if one.state_key is not None
        ]

    async def wait(self, event: Event, server: str, stripped: Iterable[JsonObject]) -> bool:
        """The user is invited, or knocks; False where this server has come into the room meanwhile.

        `server`: where that is known from; `stripped`: what may be shown of the room, of any shape.
        """
        known = Known(event.version.id, server, strip(stripped))
        return await self._put(event, known)

    async def end(self, event: Event) -> None:
        """The user waits for nothing any more, as this leave or ban says."""
        await self._put(event, None)

    async def forget(self, room_id: str, user_id: str) -> None:
        """The user has come into the room."""
        await self._db.write(rows.forget, room_id, user_id)

    async def _put(self, event: Event, known: Known | None) -> bool:
        nid = (await self._ids.events.take(1))[0]
        row = plain_row(Stored(event, nid, BARE), client_skeleton(event), self._clock.now())
        return await self._db.write(rows.put, row, membership_row(event, local=True), known)

    async def hear(self, room_id: str, events: Iterable[Event]) -> None:
        """Take the leaves and bans among these events that take back an invitation, or answer a knock.

        Who may kick or ban in the room cannot be known from outside. So it must be the inviter, or for a knock a
        user of the server that took it.
        """
        for event in events:
            if await self._ends_waiting(event, room_id) and await self._checks.passed([event]):
                await self.end(event)

    async def _ends_waiting(self, event: Event, room_id: str) -> bool:
        if event.type != MEMBER or event.state_key is None or event.room_id != room_id:
            return False
        pending = await self.find(room_id, event.state_key)
        if pending is None or membership_in(event) not in ("leave", "ban") or event.sender == event.state_key:
            return False
        if pending.event.event_id not in event.auth_events:
            return False
        if membership_in(pending.event) == "invite":
            return event.sender == pending.event.sender
        return find_server_of(event.sender) == pending.server


def strip(events: Iterable[JsonObject]) -> bytes:
    """JSON list of those of the events that are state events, as stripped state shows them."""
    found: list[bytes] = []
    size = 0
    for event in events:
        fields: dict[str, Any] = {
            name: event.get(name) for name in ("type", "state_key", "sender", "content")
        }
        kind, state_key, sender, content = fields.values()
        if not (isinstance(kind, str) and isinstance(state_key, str) and isinstance(content, dict)):
            continue
        if not is_valid_user_id(sender):
            continue
        try:
            shown = orjson.dumps(fields)
        except TypeError:
            continue
        size += len(shown)
        if size > STRIPPED_BYTES:
            break
        found.append(shown)
    return b"[%b]" % b",".join(found)
