"""Events against the policy server of their room, where it uses one (server-server API, Policy Servers)."""

import asyncio
from collections.abc import Sequence

from chamberlain.matrix.errors import MatrixError
from chamberlain.matrix.events import Event
from chamberlain.matrix.policy import POLICY_KEY, PolicyServer, has_signed, needs_signature, parse_policy
from chamberlain.rooms.pipeline.chain import Chain
from chamberlain.rooms.pipeline.head import Heads, Stored
from chamberlain.rooms.ports import PolicyServers
from chamberlain.runtime.log import get_logger
from chamberlain.store import memberships
from chamberlain.store.database import Database

log = get_logger("rooms")


class Policy:
    """Knows what the policy servers recommend. In a room without one nothing is read or asked."""

    def __init__(self, db: Database, heads: Heads, servers: PolicyServers) -> None:
        self._db = db
        self._heads = heads
        self._servers = servers

    async def server_for(self, chain: Chain, event: Event) -> PolicyServer | None:
        """Give the policy server that is to sign an event after the chain before that is sent; None: nobody is.

        A new room has no member of another server yet, and so no policy server in use.
        """
        if chain.head.is_new:
            return None
        if POLICY_KEY not in chain.head.state:
            await self._heads.load(chain.head, (POLICY_KEY,))
        server = await self._in_use(event.room_id, chain.state(POLICY_KEY))
        return server if server is not None and needs_signature(event) else None

    async def sign(self, server: PolicyServer, event: Event) -> Event:
        """As `PolicyServers.sign`. To be called outside of the room's turn: it takes seconds."""
        return await self._servers.sign(server, event)

    async def signed(self, chain: Chain, event: Event) -> Event:
        """The event that is to be sent after the chain, as the policy server wants it: signed, where it has a say.

        To be called outside of the room's turn.

        Raises:
            MatrixError: the policy server refuses the event, or gives no usable answer.
        """
        server = await self.server_for(chain, event)
        return event if server is None else await self.sign(server, event)

    async def screened(self, room_id: str, events: Sequence[Event]) -> tuple[list[Event], dict[str, str]]:
        """The events of other servers, and why those that are not recommended are not, by their ids.

        What comes without a good signature may get one here. To be called outside of the room's turn.
        """
        head = await self._heads.find(room_id)
        if head is None:
            return list(events), {}
        if POLICY_KEY not in head.state:
            await self._heads.load(head, (POLICY_KEY,))
        server = await self._in_use(room_id, head.state.get(POLICY_KEY))
        if server is None:
            return list(events), {}
        refused: dict[str, str] = {}

        async def screen(event: Event) -> Event:
            if not needs_signature(event) or has_signed(event, server):
                return event
            try:
                return await self._servers.sign(server, event)
            except MatrixError as error:
                log.info("the policy server does not recommend an event", event_id=event.event_id)
                refused[event.event_id] = f"The policy server does not recommend it: {error.message}"
                return event

        return await asyncio.gather(*map(screen, events)), refused

    async def _in_use(self, room_id: str, stored: Stored | None) -> PolicyServer | None:
        server = None if stored is None else parse_policy(stored.event.content)
        if server is None or not await self._db.read(memberships.has_from, room_id, server.name, ("join",)):
            return None
        return server
