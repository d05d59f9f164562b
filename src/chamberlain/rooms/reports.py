"""Reporting events, rooms and users to those who run the server (client-server API, Reporting Content)."""

from chamberlain.matrix.errors import NotFound
from chamberlain.matrix.ids import find_server_of, parse_user_id
from chamberlain.rooms.history import find_seen
from chamberlain.rooms.joined import membership_in
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.runtime.clock import Clock
from chamberlain.store import reports, users
from chamberlain.store.database import Database
from chamberlain.store.reports import NewReport


class Reports:
    """Takes reports; administrators read them."""

    def __init__(self, db: Database, clock: Clock, heads: Heads, server_name: str) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._server_name = server_name

    async def report_event(
        self, reporter: str, room_id: str, event_id: str, *, reason: str | None, score: int | None
    ) -> int:
        """Have an event reported; give the report's number.

        Raises:
            NotFound: the reporter is not in the room, or may not see such an event in it.
        """
        if await membership_in(self._heads, room_id, reporter) != "join":
            raise NotFound("The room has no such event")
        seen = await self._db.read(find_seen, reporter, room_id, event_id)
        return await self._add(
            NewReport(
                kind="event",
                at=self._clock.now(),
                reporter=reporter,
                room_id=room_id,
                event_id=event_id,
                user_id=seen.event.sender,
                reason=reason,
                score=score,
            )
        )

    async def report_room(self, reporter: str, room_id: str, *, reason: str) -> int:
        """Have a room reported, by someone in it or not; give the report's number.

        Raises:
            NotFound: there is no such room.
        """
        await self._heads.get(room_id)
        return await self._add(
            NewReport(kind="room", at=self._clock.now(), reporter=reporter, room_id=room_id, reason=reason)
        )

    async def report_user(self, reporter: str, user_id: str, *, reason: str) -> None:
        """Have a user reported. Whether there is such a user on this server is not told: then nothing is kept.

        Raises:
            InvalidParam: it is no user id.
        """
        parse_user_id(user_id)
        is_ours = find_server_of(user_id) == self._server_name
        if is_ours and await self._db.read(users.find, user_id) is None:
            return
        await self._add(
            NewReport(kind="user", at=self._clock.now(), reporter=reporter, user_id=user_id, reason=reason)
        )

    async def _add(self, report: NewReport) -> int:
        return await self._db.write(reports.add, report)
