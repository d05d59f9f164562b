"""Memberships of rooms that this server is not in, with the help of one that is (server-server API, Joining Rooms)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar
from weakref import WeakValueDictionary

from chamberlain.matrix.auth_rules.selection import AUTHORIZER
from chamberlain.matrix.errors import Forbidden, MatrixError, NotFound
from chamberlain.matrix.event_types import MEMBER
from chamberlain.matrix.events import Draft, Event, build
from chamberlain.matrix.ids import EventID, find_server_of, is_valid_server_name
from chamberlain.matrix.remote_errors import BadAnswer, Refused, RemoteError, for_client
from chamberlain.matrix.types import JsonObject
from chamberlain.rooms.handshake import Handshakes, Template, complete
from chamberlain.rooms.handshake import Membership as Handshake
from chamberlain.rooms.joined import is_ours
from chamberlain.rooms.outside import Outside
from chamberlain.rooms.pipeline.accept import Accept
from chamberlain.rooms.pipeline.completion import Completion
from chamberlain.rooms.pipeline.consequences import MAX_DEPTH
from chamberlain.rooms.pipeline.head import Heads
from chamberlain.rooms.pipeline.imports import Imports
from chamberlain.rooms.ports import OwnKeys
from chamberlain.runtime.clock import Clock
from chamberlain.runtime.log import get_logger
from chamberlain.store import entering, events, memberships
from chamberlain.store.database import Database
from chamberlain.store.known import find_known

T = TypeVar("T")

MAX_CANDIDATES: Final = 10
"""How many servers are asked, one after the other."""
ENTERING_MS: Final = 10 * 60_000
"""So long at most events of the room wait for the user to be in it."""
WHOLE_SECONDS: Final = 1.0
"""So long who has joined waits for the members of the room: of most rooms clients never see that they came later."""
_PENDING: Final = ("invite", "knock")
_log = get_logger("rooms")


class RemoteMembership:
    """Takes our users through handshakes."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        heads: Heads,
        outside: Outside,
        handshakes: Handshakes,
        imports: Imports,
        completion: Completion,
        accept: Accept,
        server_name: str,
        own_keys: OwnKeys,
    ) -> None:
        self._db = db
        self._clock = clock
        self._heads = heads
        self._outside = outside
        self._handshakes = handshakes
        self._imports = imports
        self._completion = completion
        self._accept = accept
        self._server_name = server_name
        self._own_keys = own_keys
        self._entering: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def is_elsewhere(self, room_id: str, user_id: str) -> bool:
        """Say whether other servers have to be asked before the user can become anything in the room.

        So it is where nobody of ours is in it. A room that was left by all, though, nobody else knows better.
        """
        head = await self._heads.find(room_id)
        if head is None:
            return True
        if is_ours(head):
            return False
        return (
            head.is_partial
            or head.summary["joined"] > 0
            or await self._outside.find(room_id, user_id) is not None
        )

    async def join(
        self, user_id: str, room_id: str, servers: Iterable[str], content: JsonObject
    ) -> EventID | None:
        """Have the user join through another server; None where ours has come into the room meanwhile.

        `servers`: those that may be in it, the best first.

        Raises:
            NotFound: no server is known that may be in the room.
            MatrixError: what the servers say, or that none of them can be reached; that the room is being purged.
        """
        candidates = await self._candidates(room_id, user_id, servers)

        async def enter(server: str) -> EventID | None:
            # A server that takes its time holds up those alone who ask it for the same room.
            async with self._entering.setdefault((room_id, server), asyncio.Lock()):
                if not await self.is_elsewhere(room_id, user_id):
                    return None
                return await self._join(server, user_id, room_id, content)

        event_id = await self._first(candidates, enter)
        await self._outside.forget(room_id, user_id)
        await self._completion.wait(room_id, WHOLE_SECONDS)
        return event_id

    async def join_by_authority(self, user_id: str, room_id: str, content: JsonObject) -> EventID | None:
        """Have the user join a room that this server is in, but that only others may let them into.

        None where no other server is in it.

        Raises:
            MatrixError: what the servers say, or that none of them can be reached.
        """
        servers = await self._db.read(memberships.servers_by_age, room_id, MAX_CANDIDATES)
        if not servers:
            return None
        return await self._first(servers, lambda server: self._join(server, user_id, room_id, content))

    async def leave(self, user_id: str, room_id: str, content: JsonObject) -> EventID:
        """Have the user reject their invitation, or retract their knock; whether other servers hear of it or not.

        Raises:
            NotFound: there is no such room.
            Forbidden: they are neither invited nor knocking.
        """
        row = await self._db.read(memberships.find, room_id, user_id)
        if row is None:
            await self._heads.get(room_id)
        if row is None or row.membership not in (*_PENDING, "leave"):
            raise Forbidden("You are not in this room")
        if row.membership == "leave":
            return EventID(row.event_id)
        candidates = await self._candidates(room_id, user_id, ())
        try:
            event = await self._first(
                candidates, lambda server: self._leave(server, user_id, room_id, content)
            )
        except MatrixError as error:
            _log.info("a room was left without telling it", room_id=room_id, error=str(error))
            event = await self._leave_silently(row, content)
        await self._outside.end(event)
        return event.event_id

    async def knock(self, user_id: str, room_id: str, servers: Iterable[str], content: JsonObject) -> EventID:
        """Have the user knock through another server.

        Raises:
            NotFound, MatrixError: as for `join`.
        """
        candidates = await self._candidates(room_id, user_id, servers)
        return await self._first(candidates, lambda server: self._knock(server, user_id, room_id, content))

    # ---------------------------------------------------------------------------------------- one server

    async def _join(self, server: str, user_id: str, room_id: str, content: JsonObject) -> EventID:
        template = await self._template(server, "join", user_id, room_id)
        head = await self._heads.find(room_id)
        authorizer = template.event["content"].get(AUTHORIZER)
        if authorizer is not None:
            content = content | {AUTHORIZER: authorizer}
        join = self._complete(server, template, user_id, room_id, content)
        if head is not None and is_ours(head):
            welcome = await self._handshakes.send_join(server, join)
            await self._accept.accept(server, room_id, [welcome.event])
            known = (await self._db.read(find_known, [join.event_id])).get(join.event_id)
            if known is None or not (known.is_placed and known.counts):
                raise BadAnswer(server, "what it gave back does not let the user in")
            return join.event_id
        # From the moment on in which the other server has the join, others send what happens in the room.
        until = self._clock.now() + ENTERING_MS
        await self._db.write(entering.begin, room_id, template.version.id, until)
        try:
            # What is left here of a room is compared with all of its state.
            welcome = await self._handshakes.send_join(server, join, omit_members=head is None)
            await self._imports.join(
                server,
                template.version,
                welcome.event,
                welcome.state,
                welcome.auth_chain,
                members_omitted=welcome.members_omitted,
                servers=welcome.servers,
            )
        except MatrixError as error:
            raise BadAnswer(server, error.message) from error
        finally:
            await self._db.write(entering.end, room_id, until)
        return join.event_id

    async def _leave(self, server: str, user_id: str, room_id: str, content: JsonObject) -> Event:
        template = await self._template(server, "leave", user_id, room_id)
        leave = self._complete(server, template, user_id, room_id, content)
        await self._handshakes.send_leave(server, leave)
        return leave

    async def _knock(self, server: str, user_id: str, room_id: str, content: JsonObject) -> EventID:
        template = await self._template(server, "knock", user_id, room_id)
        knock = self._complete(server, template, user_id, room_id, content)
        shown = await self._handshakes.send_knock(server, knock)
        if knock.version.room_id_is_create_hash:
            shown = await self._outside.genuine(knock, shown)
        await self._outside.wait(knock, server, shown)
        return knock.event_id

    async def _template(self, server: str, membership: Handshake, user_id: str, room_id: str) -> Template:
        """Have a template of the version that the room is known to have."""
        template = await self._handshakes.make(server, membership, room_id, user_id)
        head = await self._heads.find(room_id)
        known = None if head is None else head.version
        if known is None and membership == "leave":
            # What is left is what the invitation says; a join does not depend on who invited.
            pending = await self._outside.find(room_id, user_id)
            known = None if pending is None else pending.event.version
        if known is not None and template.version.id != known.id:
            raise BadAnswer(server, f"the room is of version {known.id}")
        return template

    def _complete(
        self, server: str, template: Template, user_id: str, room_id: str, content: JsonObject
    ) -> Event:
        draft = self._draft(user_id, room_id, content)
        try:
            return complete(
                template, draft, server_name=self._server_name, signing_key=self._own_keys.signing_key
            )
        except MatrixError as error:
            raise BadAnswer(server, f"the template is not usable: {error.message}") from error

    def _draft(self, user_id: str, room_id: str, content: JsonObject) -> Draft:
        return Draft(
            room_id=room_id,
            type=MEMBER,
            sender=user_id,
            content=content,
            state_key=user_id,
            origin_server_ts=self._clock.now(),
        )

    async def _leave_silently(self, row: memberships.Membership, content: JsonObject) -> Event:
        """A leave that follows the invitation or knock alone, and that nobody else gets."""
        pending = await self._outside.find(row.room_id, row.user_id)
        if pending is not None:
            before = pending.event
        else:
            found = await self._db.read(events.find_event, row.event_id)
            if found is None:
                raise NotFound("There is no such room")
            before = found[0]
        return build(
            self._draft(row.user_id, row.room_id, content),
            version=before.version,
            prev_events=[before.event_id],
            auth_events=[before.event_id],
            depth=min(before.depth + 1, MAX_DEPTH),
            server_name=self._server_name,
            signing_key=self._own_keys.signing_key,
        )

    # ------------------------------------------------------------------------------------------- whom to ask

    async def _candidates(self, room_id: str, user_id: str, servers: Iterable[str]) -> list[str]:
        """The servers that may be in the room: those given, who invited, who was in it, who made it."""
        found: list[str | None] = list(servers)
        pending = await self._outside.find(room_id, user_id)
        if pending is not None:
            found += [pending.server, find_server_of(pending.event.sender)]
        found += await self._db.read(memberships.servers_by_age, room_id, MAX_CANDIDATES)
        found.append(find_server_of(room_id))
        names = dict.fromkeys(
            name for name in found if name and name != self._server_name and is_valid_server_name(name)
        )
        return list(names)[:MAX_CANDIDATES]

    async def _first(self, servers: Sequence[str], ask: Callable[[str], Awaitable[T]]) -> T:
        """What the first server gives that gives it; or the error of the last that refused, or was not reached."""
        failure: RemoteError | None = None
        for server in servers:
            try:
                return await ask(server)
            except RemoteError as error:
                _log.info("a handshake failed", server=server, error=str(error))
                if isinstance(error, Refused) or not isinstance(failure, Refused):
                    failure = error
        if failure is None:
            raise NotFound("No server is known that is in this room")
        raise for_client(failure)
